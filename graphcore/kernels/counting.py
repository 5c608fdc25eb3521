"""Which edges count for an analysis, one byte an edge."""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.layout import COUNT, EDGE, FRESH, LEVELS, OUT, START
from graphcore.kernels.walking import passes


@kernel("int64(int32[:, ::1], int32[:, ::1], float64[::1], uint8[::1], int64, boolean, float64)")
def mark_passing(
    nodes: Any, pool: Any, confidence: Any, mask: Any, blocked: int, whole: bool, floor: float
) -> int:
    """
    Set ``mask[edge]`` to 1 for every edge that passes the filter; returns how many do.

    The question is that of ``walking``.

    Each edge stands once in a segment of its source, so that going over these reads the pool in the
    order in which it lies.
    """
    part = COUNT if whole else FRESH
    level = int(floor * LEVELS)
    if level < floor * LEVELS:
        level += 1
    checked = blocked != 0 or level > 0
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + part]):
            if checked and not passes(pool, confidence, slot, blocked, level, floor):
                continue
            mask[pool[EDGE, slot]] = 1
            count += 1
    return count
