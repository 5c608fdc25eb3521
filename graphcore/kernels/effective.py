"""
Kernels that look at one edge for each pair of services: the *leading* one of those that take part.

Several edges from one service to another are what several discovery sources say. An edge takes part when its source is heard, it is confident
enough, and it is fresh or stale edges count. Of those that take part the leading one comes first: fresh before stale, then by source, then that of higher
confidence, then the lower index (the database has one edge for each pair and source, so that the last two decide nothing there).

A question is ``unheard`` (the flags of sources that don't count), ``unwanted`` (the flags that keep a *leading* edge out: what the filter says of modes and
criticalities), ``whole`` (whether stale edges count) and the floor of confidence with its ``level``, as in ``walking``.

``leads[node]`` is the slot of the leading edge between the node at hand and this one, + 1. It is all zero between any two segments: the one that is
found there is taken out when its slot comes by. So nothing has to be cleared, and every edge is looked at twice.
"""

from typing import Any

from graphcore.compiled import kernel
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


@kernel("int64(float64)")
def level_of(floor: float) -> int:
    """Return a least confidence in levels, rounded up."""
    level = int(floor * LEVELS)
    return level + 1 if level < floor * LEVELS else level


@kernel("int64(int64)", nogil=False)
def precedence(flags: int) -> int:
    """Return where an edge with these flags stands in the order: the lower, the further in front."""
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
    """Note the leading edge to each neighbour in ``pool[:, first:last]``, which lies in one segment."""
    for slot in range(first, last):
        if not passes(pool, confidence, slot, unheard, level, floor):
            continue
        neighbour = pool[NEIGHBOUR, slot]
        lead = leads[neighbour] - 1
        if lead < 0 or precedes(pool, confidence, slot, lead):
            leads[neighbour] = slot + 1


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[::1], uint8[::1], int64, int64, boolean, float64)"
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
    """Set ``mask[edge]`` to 1 for the leading edge of every pair, unless it is unwanted; returns how many. ``leads`` must be all zero, and is afterwards."""
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


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int32[::1], int32[::1], int64[::1], int64, boolean, float64)"
)
def gather_parallel(
    nodes: Any,
    pool: Any,
    edges: Any,
    confidence: Any,
    chosen: Any,
    found: Any,
    starts: Any,
    unheard: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Gather the edges that take part beside each of ``chosen``, itself included: those of ``chosen[i]`` in ``found`` from ``starts[i]`` to ``starts[i + 1]``.

    Returns how many there are; those that ``found`` has no room for are counted and not written. Looks through the shorter one of the two segments that hold a
    pair's edges, so that neither hub of many services makes it slow.
    """
    part = COUNT if whole else FRESH
    level = level_of(floor)
    tail = 0
    for place in range(len(chosen)):
        starts[place] = tail
        source, target = edges[chosen[place], SOURCE], edges[chosen[place], TARGET]
        side, node, other = OUT, source, target
        if nodes[target, IN + part] < nodes[source, OUT + part]:
            side, node, other = IN, target, source
        first = nodes[node, side + START]
        for slot in range(first, first + nodes[node, side + part]):
            if pool[NEIGHBOUR, slot] != other or not passes(pool, confidence, slot, unheard, level, floor):
                continue
            if tail < len(found):
                found[tail] = pool[EDGE, slot]
            tail += 1
    starts[len(chosen)] = tail
    return tail
