"""
Kernels that compare, for each pair of services, which sides report a call between them.

A side is DECLARED or OBSERVED. The sides of a pair are the bits of all its edges that count; a pair
that drifts has exactly one of the two bits. ``part`` is what counts of a segment: FRESH without
stale edges, COUNT with them. ``sides`` is scratch, a byte for each node, zero between calls. Pairs
with a node whose ``shut`` is not 0 don't count.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, FLAGS, NEIGHBOUR, OUT, START

DECLARED, OBSERVED = 1, 2
_DECLARING = 128 | 512 | 2048
"""``EdgeFlag.MANUAL | EdgeFlag.KUBERNETES | EdgeFlag.CATALOG`` as a plain number."""
_OBSERVING = 256 | 1024
"""``EdgeFlag.OTEL_SERVICE_GRAPH | EdgeFlag.SERVICE_MESH``."""


@kernel("int64(int64)")
def side_of(flags: int) -> int:
    """Return the side of an edge; 0 = it has no discovery source."""
    side = 0
    if flags & _DECLARING:
        side |= DECLARED
    if flags & _OBSERVING:
        side |= OBSERVED
    return side


@kernel("void(int32[:, ::1], int32[:, ::1], int64, int64, int64, uint8[::1])")
def join_sides(nodes: Any, pool: Any, node: int, side: int, part: int, sides: Any) -> None:
    """Note the sides of all pairs that a node makes with its neighbours."""
    first = nodes[node, side + START]
    for slot in range(first, first + nodes[node, side + part]):
        sides[pool[NEIGHBOUR, slot]] |= side_of(pool[FLAGS, slot])


@kernel("int64(int32[:, ::1], int32[:, ::1], int64, int64, uint8[::1], uint8[::1], int32[::1])")
def count_drift(nodes: Any, pool: Any, part: int, wanted: int, shut: Any, sides: Any, counts: Any) -> int:
    """
    Count for each node the callees with which it drifts to a side of ``wanted``; returns the sum.

    O(V + E).
    """
    total = 0
    for node in range(len(nodes)):
        counts[node] = 0
        if shut[node] != 0:
            continue
        join_sides(nodes, pool, node, OUT, part, sides)
        count = 0
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + part]):
            found = sides[pool[NEIGHBOUR, slot]]
            sides[pool[NEIGHBOUR, slot]] = 0
            if found & wanted and found != DECLARED | OBSERVED and shut[pool[NEIGHBOUR, slot]] == 0:
                count += 1
        counts[node] = count
        total += count
    return total


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[::1], int64, int64, int64, uint8[::1], uint8[::1], "
    "int32[::1], int32[::1], uint8[::1])"
)
def gather_drift(
    nodes: Any,
    pool: Any,
    chosen: Any,
    side: int,
    part: int,
    wanted: int,
    shut: Any,
    sides: Any,
    near: Any,
    far: Any,
    drift: Any,
) -> int:
    """
    List the pairs that drift of some nodes and their neighbours on a side; returns how many.

    Lists their ends and the side that there is.
    """
    count = 0
    for place in range(len(chosen)):
        node = chosen[place]
        join_sides(nodes, pool, node, side, part, sides)
        first = nodes[node, side + START]
        for slot in range(first, first + nodes[node, side + part]):
            neighbour = pool[NEIGHBOUR, slot]
            found = sides[neighbour]
            sides[neighbour] = 0
            if found & wanted and found != DECLARED | OBSERVED and shut[neighbour] == 0:
                near[count], far[count], drift[count] = node, neighbour, found
                count += 1
    return count


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int64, int32[::1], int32[::1], int32[::1], int32[::1], int32[::1])"
)
def gather_edges(
    nodes: Any, pool: Any, side: int, near: Any, far: Any, marks: Any, found: Any, pair: Any
) -> int:
    """
    List the edges of pairs, stale ones included, each with the place of its pair; returns how many.

    Pairs with one near end stand together, so that its segment is gone over once. ``marks`` is -1
    everywhere between calls.
    """
    count = begin = 0
    while begin < len(near):
        node, end = near[begin], begin
        while end < len(near) and near[end] == node:
            marks[far[end]] = end
            end += 1
        first = nodes[node, side + START]
        for slot in range(first, first + nodes[node, side + COUNT]):
            place = marks[pool[NEIGHBOUR, slot]]
            if place >= 0:
                found[count], pair[count] = pool[EDGE, slot], place
                count += 1
        for place in range(begin, end):
            marks[far[place]] = -1
        begin = end
    return count
