"""
Which service has a key: a hash table with open addressing over positions of services, at most half full.

Keys are four words of 32 bits. Slots hold positions, ``EMPTY`` where there is none; their number is a power of two.
Source: Knuth, The Art of Computer Programming 3, 6.4: multiplicative hashing, linear probing.
"""

from typing import Any

from graphcore.compiling import kernel

EMPTY = -1
_LOW = 0xFFFFFFFF
# Odd, without pattern, below 2^31: a product with 32 bits fits 63.
_A, _B, _C, _D = 0x5F356495, 0x7A1D3B4D, 0x6C8E9CF5, 0x4F1BBCDD


@kernel("int64(int64, int64, int64, int64, int64)")
def slot_of(a: int, b: int, c: int, d: int, slots: int) -> int:
    """Return where to look for a key first."""
    mixed = ((a * _A & _LOW) + (b * _B & _LOW) + (c * _C & _LOW) + (d * _D & _LOW)) & _LOW
    return mixed * slots >> 32


@kernel("int64(int32[::1], uint32[:, ::1], int64, int64, int64, int64)")
def find_node(slots: Any, keys: Any, a: int, b: int, c: int, d: int) -> int:
    """Return the position of the service with a key; -1 = there is none. O(1) expected."""
    last = slots.shape[0] - 1
    slot = slot_of(a, b, c, d, slots.shape[0])
    while slots[slot] != EMPTY:
        node = slots[slot]
        if keys[node, 0] == a and keys[node, 1] == b and keys[node, 2] == c and keys[node, 3] == d:
            return int(node)
        slot = slot + 1 & last
    return EMPTY


@kernel("void(int32[::1], uint32[:, ::1], int64, int64)")
def add_keys(slots: Any, keys: Any, first: int, last: int) -> None:
    """Enter the services from position ``first`` to before ``last``."""
    mask = slots.shape[0] - 1
    for node in range(first, last):
        slot = slot_of(
            int(keys[node, 0]), int(keys[node, 1]), int(keys[node, 2]), int(keys[node, 3]), slots.shape[0]
        )
        while slots[slot] != EMPTY:
            slot = slot + 1 & mask
        slots[slot] = node
