"""
Kernels that find, for hundreds of services at a time, what reaches them before and after a change.

Each of these services has a bit. A component has a mask of WORDS numbers with the bits of the
services that it reaches; since none calls a later one, one pass over the calls between components
makes all masks. BITS bits (seven bytes) of a number are used, so that it is never negative.
"""

from typing import Any

from graphcore.compiling import kernel

WORDS, BYTES, BYTE = 8, 7, 8
BITS = BYTES * BYTE
BLOCK = WORDS * BITS
"""Services looked at in one pass: a mask fills a line of the cache, which is fetched as a whole."""

LANES = 0x01010101010101
FULL = 255
"""What a byte can count to."""

BEFORE, ADDED, REMOVED = 0, 1, 2
"""Rows of counts."""


@kernel("void(int32[::1], int32[::1], int64[:, ::1], int64)")
def spread(start: Any, target: Any, masks: Any, first: int) -> None:
    """
    Complete masks that hold own bits only, none of them below the component ``first``.

    A row of calls each.
    """
    for number in range(first, len(start) - 1):
        for slot in range(start[number], start[number + 1]):
            other = target[slot]
            for word in range(WORDS):
                masks[number, word] |= masks[other, word]


@kernel("void(int64[:, :, ::1], int64[:, ::1], int64, int64)")
def empty_lanes(lanes: Any, counts: Any, row: int, word: int) -> None:
    """Add what was counted in the lanes of a word to its counts."""
    for shift in range(BYTE):
        for byte in range(BYTES):
            counts[row, word * BITS + byte * BYTE + shift] += (
                lanes[row, word, shift] >> (byte * BYTE)
            ) & FULL
        lanes[row, word, shift] = 0
    lanes[row, word, BYTE] = 0


@kernel("void(int64[:, :, ::1], int64[:, ::1], int64, int64, int64, int64)")
def tally(lanes: Any, counts: Any, row: int, word: int, bits: int, weight: int) -> None:
    """
    Count every bit ``weight`` times.

    Light ones in bytes that lie side by side, seven at once, heavy ones one by one.
    """
    if bits == 0:
        return
    if weight > FULL:
        for bit in range(BITS):
            counts[row, word * BITS + bit] += weight * ((bits >> bit) & 1)
        return
    if lanes[row, word, BYTE] + weight > FULL:
        empty_lanes(lanes, counts, row, word)
    lanes[row, word, BYTE] += weight
    for shift in range(BYTE):
        lanes[row, word, shift] += ((bits >> shift) & LANES) * weight


@kernel("void(int64[:, ::1], int64[:, ::1], int32[::1], int32[:, ::1], int64[:, :, ::1], int64[:, ::1])")
def count_changes(before: Any, after: Any, size: Any, groups: Any, lanes: Any, counts: Any) -> None:
    """
    Count for each bit the nodes that reach it BEFORE, those ADDED and those REMOVED afterwards.

    Cells as ``rows.cross`` has them.

    ``lanes`` (a row for each count, WORDS, BYTE + 1) is zero, and room to work in.
    """
    for cell in range(len(size)):
        left, right, weight = groups[0, cell], groups[1, cell], size[cell]
        for word in range(WORDS):
            was, will = before[left, word], after[right, word]
            tally(lanes, counts, BEFORE, word, was, weight)
            if was != will:
                tally(lanes, counts, ADDED, word, will & ~was, weight)
                tally(lanes, counts, REMOVED, word, was & ~will, weight)
    for row in range(REMOVED + 1):
        for word in range(WORDS):
            empty_lanes(lanes, counts, row, word)


@kernel(
    "int64(int64[:, ::1], int64[:, ::1], int32[:, ::1], int32[::1], int32[::1], int64[:, ::1], "
    "int32[:, :, ::1], int32[:, ::1])"
)
def list_changes(
    before: Any, after: Any, groups: Any, cell: Any, nodes: Any, wanted: Any, lists: Any, lengths: Any
) -> int:
    """
    Put ``nodes`` on the lists of the bits that they reach afterwards and not before (row 0).

    Row 1: the other way round.

    ``wanted`` has the bits whose lists have room, a row for each kind of list. Returns how many
    nodes were looked at: fewer than there are once every list is full.
    """
    for position in range(len(nodes)):
        node = nodes[position]
        left, right = groups[0, cell[node]], groups[1, cell[node]]
        open_lists = 0
        for word in range(WORDS):
            was, will = before[left, word], after[right, word]
            for kind in range(2):
                bits = (was & ~will if kind else will & ~was) & wanted[kind, word]
                open_lists |= wanted[kind, word]
                bit = 0
                while bits >> bit:
                    if (bits >> bit) & 1:
                        place = word * BITS + bit
                        lists[kind, place, lengths[kind, place]] = node
                        lengths[kind, place] += 1
                        if lengths[kind, place] == lists.shape[2]:
                            wanted[kind, word] &= ~(1 << bit)
                    bit += 1
        if open_lists == 0:
            return position
    return len(nodes)
