"""
Kernels that gather, for given edges, every edge of the same pair that takes part.

``filtering`` defines pairs, and what takes part in a question about them.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, FRESH, IN, NEIGHBOUR, OUT, SOURCE, START, TARGET
from graphcore.kernels.filtering import EDGES_ASKED, edges_asked, passes

SLOTS_AN_EDGE = 16
"""How many slots of a segment may be looked at for each edge that is looked for in it."""


@kernel("int64(int32[:, ::1], int32[::1], int64, int64)", nogil=False)
def run_end(edges: Any, chosen: Any, begin: int, column: int) -> int:
    """Return where the edges from ``chosen[begin]`` on end that have the same SOURCE or TARGET."""
    node = edges[chosen[begin], column]
    end = begin + 1
    while end < len(chosen) and edges[chosen[end], column] == node:
        end += 1
    return end


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int32[::1], int32[::1], "
    f"int32[::1], int64[::1], int64, int64, int64, boolean, {EDGES_ASKED})"
)
def gather_segment(
    nodes: Any,
    pool: Any,
    edges: Any,
    confidence: Any,
    chosen: Any,
    places: Any,
    found: Any,
    starts: Any,
    begin: int,
    end: int,
    side: int,
    whole: bool,
    asked: tuple[int, int, float],
) -> int:
    """
    Gather the edges beside ``chosen[begin:end]``, all of one node, out of its segment.

    Returns how many there are with those before.

    ``places`` is, by neighbour, first the pair's number, then where its next edge goes, both + 1;
    all zero before and afterwards.
    """
    near, far = (SOURCE, TARGET) if side == OUT else (TARGET, SOURCE)
    node = edges[chosen[begin], near]
    first = nodes[node, side + START]
    last = first + nodes[node, side + (COUNT if whole else FRESH)]
    for pair in range(begin, end):
        places[edges[chosen[pair], far]] = pair + 1
        starts[pair + 1] = 0
    for slot in range(first, last):
        place = places[pool[NEIGHBOUR, slot]]
        if place > 0 and passes(pool, confidence, slot, asked):
            starts[place] += 1
    for pair in range(begin, end):
        places[edges[chosen[pair], far]] = starts[pair] + 1
        starts[pair + 1] += starts[pair]
    for slot in range(first, last):
        neighbour = pool[NEIGHBOUR, slot]
        place = places[neighbour]
        if place > 0 and passes(pool, confidence, slot, asked):
            places[neighbour] = place + 1
            if place <= len(found):
                found[place - 1] = pool[EDGE, slot]
    for pair in range(begin, end):
        places[edges[chosen[pair], far]] = 0
    return int(starts[end])


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int32[::1], int32[::1], "
    "int32[::1], int64[::1], int64, boolean, float64)"
)
def gather_parallel(
    nodes: Any,
    pool: Any,
    edges: Any,
    confidence: Any,
    chosen: Any,
    places: Any,
    found: Any,
    starts: Any,
    blocked: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Gather the edges that take part beside each of ``chosen``, itself included.

    Those of ``chosen[i]`` are in ``found`` from ``starts[i]`` to ``starts[i + 1]``.

    No two of ``chosen`` may be of one pair; ``places`` has room for every node and is all zero.
    Returns how many edges there are; those that ``found`` has no room for are not written. Edges
    that follow each other and share a node, as walks leave them, are looked for in its segment at
    once; where that is too long for so few, each is looked for in the shorter one of the two
    segments that hold it. So a hub of many services makes nothing slow.
    """
    part = COUNT if whole else FRESH
    asked = edges_asked(blocked, True, floor)
    begin = 0
    starts[0] = 0
    while begin < len(chosen):
        side, column, end = OUT, SOURCE, run_end(edges, chosen, begin, SOURCE)
        if end == begin + 1:
            side, column, end = IN, TARGET, run_end(edges, chosen, begin, TARGET)
        is_shared = nodes[edges[chosen[begin], column], side + part] <= SLOTS_AN_EDGE * (end - begin)
        while begin < end:
            last = end if is_shared else begin + 1
            if not is_shared:
                source, target = edges[chosen[begin], SOURCE], edges[chosen[begin], TARGET]
                side = OUT if nodes[source, OUT + part] <= nodes[target, IN + part] else IN
            gather_segment(
                nodes, pool, edges, confidence, chosen, places, found, starts, begin, last, side, whole, asked
            )
            begin = last
    return int(starts[len(chosen)])
