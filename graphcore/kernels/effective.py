"""
Kernels that look at one edge for each pair of services: the *leading* one of those that take part.

Several edges from one service to another are what several discovery sources say. An edge takes part
when its source is heard, it is confident enough, and it is fresh or stale edges count. Of those
that take part the leading one comes first: fresh before stale, then by source, then that of higher
confidence, then the lower index (the database has one edge for each pair and source, so that the
last two decide nothing there).

A question is ``unheard`` (the flags of sources that don't count), ``unwanted`` (the flags that keep
a *leading* edge out: what the filter says of modes and criticalities), ``whole`` (whether stale
edges count) and the floor of confidence with its ``level``, as in ``walking``.

``leads[node]`` is the slot of the leading edge between the node at hand and this one, + 1. It is
all zero between any two segments: the one that is found there is taken out when its slot comes by.
So nothing has to be cleared, and every edge is looked at twice.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.layout import (
    COUNT,
    EDGE,
    FLAGS,
    FRESH,
    IN,
    LEVELS,
    NEIGHBOUR,
    OUT,
    SOURCE,
    STALE_BIT,
    START,
    TARGET,
)
from graphcore.kernels.walking import passes

MANUAL_BIT, OTEL_BIT, MESH_BIT = 32, 64, 256
"""``EdgeFlag.MANUAL``, ``OTEL_SERVICE_GRAPH`` and ``SERVICE_MESH`` as plain numbers."""

SLOTS_AN_EDGE = 16
"""How many slots of a segment may be looked at for each edge that is looked for in it."""


@kernel("int64(float64)")
def level_of(floor: float) -> int:
    """Return a least confidence in levels, rounded up."""
    level = int(floor * LEVELS)
    return level + 1 if level < floor * LEVELS else level


@kernel("int64(int64)", nogil=False)
def precedence(flags: int) -> int:
    """Return the place of an edge with these flags in the order: lower ones come first."""
    place = 3
    if flags & MANUAL_BIT:
        place = 0
    elif flags & MESH_BIT:
        place = 1
    elif flags & OTEL_BIT:
        place = 2
    return place + 4 if flags & STALE_BIT else place


@kernel("boolean(int32[:, ::1], float64[::1], int64, int64)", nogil=False)
def precedes(pool: Any, confidence: Any, slot: int, other: int) -> bool:
    """Tell whether the edge at one slot comes before the edge at another."""
    place, its_place = precedence(pool[FLAGS, slot]), precedence(pool[FLAGS, other])
    if place != its_place:
        return bool(place < its_place)
    edge, its_edge = pool[EDGE, slot], pool[EDGE, other]
    if confidence[edge] != confidence[its_edge]:
        return bool(confidence[edge] > confidence[its_edge])
    return bool(edge < its_edge)


@kernel("void(int32[:, ::1], float64[::1], int32[::1], int64, int64, int64, int64, float64)", nogil=False)
def choose(
    pool: Any, confidence: Any, leads: Any, first: int, last: int, unheard: int, level: int, floor: float
) -> None:
    """Note the leading edge to each neighbour in ``pool[:, first:last]``, in one segment."""
    for slot in range(first, last):
        if not passes(pool, confidence, slot, unheard, level, floor):
            continue
        neighbour = pool[NEIGHBOUR, slot]
        lead = leads[neighbour] - 1
        if lead < 0 or precedes(pool, confidence, slot, lead):
            leads[neighbour] = slot + 1


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[::1], uint8[::1], int64, int64, boolean, "
    "float64)"
)
def mark_effective(
    nodes: Any,
    pool: Any,
    confidence: Any,
    leads: Any,
    mask: Any,
    unheard: int,
    unwanted: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Set ``mask[edge]`` to 1 for the leading edge of every pair, unless it is unwanted.

    Returns how many. ``leads`` must be all zero, and is afterwards.
    """
    part = COUNT if whole else FRESH
    level = level_of(floor)
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        last = first + nodes[node, OUT + part]
        choose(pool, confidence, leads, first, last, unheard, level, floor)
        for slot in range(first, last):
            neighbour = pool[NEIGHBOUR, slot]
            if leads[neighbour] != slot + 1:
                continue
            leads[neighbour] = 0
            if not pool[FLAGS, slot] & unwanted:
                mask[pool[EDGE, slot]] = 1
                count += 1
    return count


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
    "int32[::1], int64[::1], int64, int64, int64, int64, boolean, int64, float64)"
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
    unheard: int,
    whole: bool,
    level: int,
    floor: float,
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
        if place > 0 and passes(pool, confidence, slot, unheard, level, floor):
            starts[place] += 1
    for pair in range(begin, end):
        places[edges[chosen[pair], far]] = starts[pair] + 1
        starts[pair + 1] += starts[pair]
    for slot in range(first, last):
        neighbour = pool[NEIGHBOUR, slot]
        place = places[neighbour]
        if place > 0 and passes(pool, confidence, slot, unheard, level, floor):
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
    unheard: int,
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
    level = level_of(floor)
    begin = 0
    starts[0] = 0
    while begin < len(chosen):
        side, column, end = OUT, SOURCE, run_end(edges, chosen, begin, SOURCE)
        if end == begin + 1:
            side, column, end = IN, TARGET, run_end(edges, chosen, begin, TARGET)
        if nodes[edges[chosen[begin], column], side + part] <= SLOTS_AN_EDGE * (end - begin):
            gather_segment(
                nodes,
                pool,
                edges,
                confidence,
                chosen,
                places,
                found,
                starts,
                begin,
                end,
                side,
                unheard,
                whole,
                level,
                floor,
            )
            begin = end
        while begin < end:
            edge = chosen[begin]
            outwards = nodes[edges[edge, SOURCE], OUT + part] <= nodes[edges[edge, TARGET], IN + part]
            side = OUT if outwards else IN
            gather_segment(
                nodes,
                pool,
                edges,
                confidence,
                chosen,
                places,
                found,
                starts,
                begin,
                begin + 1,
                side,
                unheard,
                whole,
                level,
                floor,
            )
            begin += 1
    return int(starts[len(chosen)])
