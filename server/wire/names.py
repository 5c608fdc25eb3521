"""
Names of services, found by key.

The hash table has open addressing over positions of services, and is at most half full. Keys are
four words of 32 bits. Slots hold positions, ``EMPTY`` where there is none; their number is a power
of two. Source: Knuth, The Art of Computer Programming 3, 6.4: multiplicative hashing, linear
probing.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from graphcore.compiling import kernel
from server.wire.fields import field_length
from server.wire.kernels import FIXED

Scalar = TypeVar("Scalar", bound=np.generic)

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
def find_node(slots: Any, keys: Any, a: int, b: int, c: int, d: int) -> int:  # noqa: PLR0917 - kernels take no keywords
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


_FIRST_ROWS = 1_024
_FIRST_BYTES = 32 * _FIRST_ROWS
_WORDS_A_KEY = 4


class NameTable:
    """
    Names of services by position, and a hash table from keys to positions.

    The names lie one behind the other as ``TraverseResponse.service_ids``. Kernels write into the
    arrays; ``grow`` before, ``took`` afterwards. O(1) amortised for each service.
    """

    def __init__(self) -> None:
        self.count = 0
        self.keys: NDArray[np.uint32] = np.empty((_FIRST_ROWS, _WORDS_A_KEY), np.uint32)
        self.starts: NDArray[np.int64] = np.zeros(_FIRST_ROWS + 1, np.int64)
        self.names: NDArray[np.uint8] = np.empty(_FIRST_BYTES, np.uint8)
        self.slots: NDArray[np.int32] = np.full(2 * _FIRST_ROWS, EMPTY, np.int32)

    def grow(self, rows: int, text: int) -> None:
        """Make room for so many services with names of so many bytes together."""
        needed = self.count + rows
        if needed > len(self.keys):
            capacity = max(needed, 2 * len(self.keys))
            self.keys = _longer(self.keys, capacity)
            self.starts = _longer(self.starts, capacity + 1)
        needed = int(self.starts[self.count]) + text + rows * FIXED
        if needed > len(self.names):
            self.names = _longer(self.names, max(needed, 2 * len(self.names)))

    def name(self, position: int) -> str:
        """Return the name of a service; "" for a position below 0."""
        if position < 0:
            return ""
        begin, end = int(self.starts[position]), int(self.starts[position + 1])
        brief = self.names[begin:end].tobytes()
        return brief[field_length(brief, 1)[1] :].decode()

    def took(self, rows: int) -> None:
        """Enter the services that a kernel wrote behind the last one."""
        first, self.count = self.count, self.count + rows
        if 2 * self.count > len(self.slots):
            first = 0
            self.slots = np.full(1 << (4 * self.count - 1).bit_length(), EMPTY, np.int32)
        add_keys.run(self.slots, self.keys, first, self.count)


def _longer(array: NDArray[Scalar], length: int) -> NDArray[Scalar]:
    longer = np.empty((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
