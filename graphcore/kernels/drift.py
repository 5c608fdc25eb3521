"""
Kernels that compare, for each pair of services, what its discovery sources report of the call.

The flags of a pair are the bits of all its edges that count. A pair drifts if its sources are all
on one side, DECLARED or OBSERVED, or if they contradict each other, CONTRADICTED: they name
different modes or criticalities. ``wanted`` holds the bits of the kinds to find; a pair counts only
with a source of ``sources``. ``part`` is what counts of a segment: FRESH without stale edges, COUNT
with them. ``joined`` is scratch, flags for each node, zero between calls. Pairs with a node whose
``shut`` is not 0 don't count.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, FLAGS, NEIGHBOUR, OUT, START

DECLARED, OBSERVED, CONTRADICTED = 1, 2, 4
_MODES = 1 | 2
"""``EdgeFlag.SYNC | EdgeFlag.ASYNC`` as a plain number."""
_CRITICALITIES = 8 | 16 | 32
"""``EdgeFlag.HARD | EdgeFlag.SOFT | EdgeFlag.DEGRADED``."""
_DECLARING = 128 | 512 | 2048
"""``EdgeFlag.MANUAL | EdgeFlag.KUBERNETES | EdgeFlag.CATALOG``."""
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


@kernel("int64(int64, int64)")
def drift_of(flags: int, wanted: int) -> int:
    """Return the kind of ``wanted`` that a pair with these flags has; 0 = none of them."""
    side: int = side_of(flags)
    if side != DECLARED | OBSERVED and side & wanted != 0:
        return side
    criticalities = flags & _CRITICALITIES
    # Two bits or more: without its lowest bit the number is not 0.
    if flags & _MODES == _MODES or criticalities & (criticalities - 1) != 0:
        return wanted & CONTRADICTED
    return 0


@kernel("void(int32[:, ::1], int32[:, ::1], int64, int64, int64, int32[::1])")
def join_flags(nodes: Any, pool: Any, node: int, side: int, part: int, joined: Any) -> None:
    """Join the flags of all pairs that a node makes with its neighbours."""
    first = nodes[node, side + START]
    for slot in range(first, first + nodes[node, side + part]):
        joined[pool[NEIGHBOUR, slot]] |= pool[FLAGS, slot]


@kernel("int64(int32[:, ::1], int32[:, ::1], int64, int64, int64, uint8[::1], int32[::1], int32[::1])")
def count_drift(
    nodes: Any, pool: Any, part: int, wanted: int, sources: int, shut: Any, joined: Any, counts: Any
) -> int:
    """
    Count for each node the callees with which it drifts; returns the sum.

    O(V + E).
    """
    total = 0
    for node in range(len(nodes)):
        counts[node] = 0
        if shut[node] != 0:
            continue
        join_flags(nodes, pool, node, OUT, part, joined)
        count = 0
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + part]):
            neighbour = pool[NEIGHBOUR, slot]
            flags = joined[neighbour]
            joined[neighbour] = 0
            if flags & sources != 0 and drift_of(flags, wanted) != 0 and shut[neighbour] == 0:
                count += 1
        counts[node] = count
        total += count
    return total


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[::1], int64, int64, int64, int64, uint8[::1], int32[::1], "
    "int32[::1], int32[::1], uint8[::1])"
)
def gather_drift(
    nodes: Any,
    pool: Any,
    chosen: Any,
    side: int,
    part: int,
    wanted: int,
    sources: int,
    shut: Any,
    joined: Any,
    near: Any,
    far: Any,
    drift: Any,
) -> int:
    """
    List the pairs that drift of some nodes and their neighbours on a side; returns how many.

    Lists their ends and the kind of each.
    """
    count = 0
    for place in range(len(chosen)):
        node = chosen[place]
        join_flags(nodes, pool, node, side, part, joined)
        first = nodes[node, side + START]
        for slot in range(first, first + nodes[node, side + part]):
            neighbour = pool[NEIGHBOUR, slot]
            flags = joined[neighbour]
            joined[neighbour] = 0
            kind = drift_of(flags, wanted)
            if flags & sources != 0 and kind != 0 and shut[neighbour] == 0:
                near[count], far[count], drift[count] = node, neighbour, kind
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
