"""Kernels that mark the edges, or the leading edges of pairs, that count for an analysis."""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.filtering import choose, edges_asked, passes, take_lead
from graphcore.kernels.layout import COUNT, EDGE, FLAGS, FRESH, NEIGHBOUR, OUT, START


@kernel("int64(int32[:, ::1], int32[:, ::1], float64[::1], uint8[::1], int64, boolean, float64)")
def mark_passing(
    nodes: Any, pool: Any, confidence: Any, mask: Any, blocked: int, whole: bool, floor: float
) -> int:
    """
    Set ``mask[edge]`` to 1 for every edge that passes the filter; returns how many do.

    Each edge stands once in a segment of its source, so that going over these reads the pool in the
    order in which it lies.
    """
    part = COUNT if whole else FRESH
    asked = edges_asked(blocked, False, floor)
    checked = asked[0] != 0 or asked[1] > 0
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + part]):
            if checked and not passes(pool, confidence, slot, asked):
                continue
            mask[pool[EDGE, slot]] = 1
            count += 1
    return count


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], uint8[::1], int64, boolean, float64)"
)
def mark_effective(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    mask: Any,
    blocked: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Set ``mask[edge]`` to 1 for the leading edge of every pair, unless it is unwanted.

    Returns how many. Uses the row LEADS of ``scratch``.
    """
    part = COUNT if whole else FRESH
    asked = edges_asked(blocked, True, floor)
    unwanted = blocked - asked[0]
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        last = first + nodes[node, OUT + part]
        choose(pool, confidence, scratch, first, last, asked)
        for slot in range(first, last):
            if take_lead(scratch, pool[NEIGHBOUR, slot], slot) and not pool[FLAGS, slot] & unwanted:
                mask[pool[EDGE, slot]] = 1
                count += 1
    return count
