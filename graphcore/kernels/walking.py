"""
Kernels that walk over the traversal index.

The scratch array has a column for every node and some more. A walk takes these rows of it:

- ``MARKS``: the tick of the walk + the node's depth; whatever is below the tick was left by former
  walks and means "not found". So nothing has to be cleared between walks; when the ticks run out of
  31 bits, the marks are cleared once and ticks begin anew.
- ``QUEUE``: the nodes in the order in which they were found, the start first.
- ``ENDS``: how many of these lie at most 0, 1, 2, … hops from the start.

Walking both ways makes two walks, ``DOWN`` and ``UP``, and joins their queues in the rows of
``BOTH``; its marks say which nodes a limit keeps.

A question is ``blocked`` (the flags that keep an edge out, staleness aside), ``floor`` (the least
confidence) and ``whole`` (whether stale edges count). Where nothing but staleness keeps an edge
out, neither flags nor confidences are read: stale edges have a part of the segment to themselves.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.layout import (
    ANSWER,
    BOTH,
    COUNT,
    COUNTS,
    DOWN,
    EDGE,
    EDGE_COUNT,
    ENDS,
    FETCHED,
    FLAGS,
    FRESH,
    IN,
    LEVEL_SHIFT,
    LEVELS,
    MARKS,
    NEIGHBOUR,
    OUT,
    QUEUE,
    START,
    TICK,
    TRUNCATED,
    UP,
)

LAST_TICK = 2**30
BLOCK = 256
"""Segments fetched ahead: all must still be in the cache when the walk reads them."""


@kernel("int64(int32[:, ::1], int32[::1], int32[::1], int64, int64, int64)", nogil=False)
def fetch(nodes: Any, row: Any, queue: Any, side: int, begin: int, end: int) -> int:
    """
    Read the first entry of the segments of ``queue[begin:end]`` in a row of the pool.

    So the processor fetches all of them at once.

    Going over the segments right away it would wait for memory at each: on a million edges a walk
    takes two to three times as long. Returns a number that means nothing, but has to be kept, or
    the compiler leaves the reading out.
    """
    kept = 0
    for place in range(begin, end):
        kept ^= row[nodes[queue[place], side + START]]
    return kept


@kernel("boolean(int32[:, ::1], float64[::1], int64, int64, int64, float64)", nogil=False)
def passes(pool: Any, confidence: Any, slot: int, blocked: int, level: int, floor: float) -> bool:
    """
    Tell whether the edge at a slot passes the filter, staleness aside.

    ``level`` is the floor in levels, rounded up.
    """
    flags = pool[FLAGS, slot]
    if flags & blocked:
        return False
    above = (flags >> LEVEL_SHIFT) - level
    # Only an edge whose confidence lies in the same level as the floor has to be looked at in full.
    return bool(above >= 0 or (above == -1 and confidence[pool[EDGE, slot]] >= floor))


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, int64, int64, "
    "int64, boolean, int64, float64)",
    nogil=False,
)
def search(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    walk: int,
    start: int,
    max_depth: int,
    enough: int,
    blocked: int,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """
    Search breadth-first one way, until ``enough`` nodes beside the start are found.

    Returns the greatest depth at which there are any.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    marks, queue, ends = scratch[MARKS + walk], scratch[QUEUE + walk], scratch[ENDS + walk]
    neighbours, flags = pool[NEIGHBOUR], pool[FLAGS]
    checked = blocked != 0 or level > 0
    tick = scratch[ANSWER, TICK]
    marks[start] = tick
    queue[0] = start
    ends[0] = 1
    head, tail, depth = 0, 1, 0
    while depth < max_depth and head < tail <= enough:
        depth += 1
        end = tail
        for begin in range(head, end, BLOCK):
            head = min(begin + BLOCK, end)
            scratch[ANSWER, FETCHED] = fetch(nodes, neighbours, queue, side, begin, head)
            if checked:
                scratch[ANSWER, FETCHED] ^= fetch(nodes, flags, queue, side, begin, head)
            for place in range(begin, head):
                node = queue[place]
                first = nodes[node, side + START]
                for slot in range(first, first + nodes[node, side + part]):
                    neighbour = neighbours[slot]
                    if marks[neighbour] >= tick:
                        continue
                    if checked and not passes(pool, confidence, slot, blocked, level, floor):
                        continue
                    marks[neighbour] = tick + depth
                    queue[tail] = neighbour
                    tail += 1
            if tail > enough:
                break
        ends[depth] = tail
    if depth > 0 and ends[depth] == ends[depth - 1]:
        depth -= 1
    return depth


@kernel("int64(int32[:, ::1], int64, int64)", nogil=False)
def join(scratch: Any, down_depth: int, up_depth: int) -> int:
    """
    Join both walks: each node with its smaller depth, equal depths downstream first.

    Returns the greatest depth.
    """
    tick = scratch[ANSWER, TICK]
    queue, ends = scratch[QUEUE + BOTH], scratch[ENDS + BOTH]
    queue[0] = scratch[QUEUE + DOWN, 0]
    ends[0] = tail = 1
    deepest = max(down_depth, up_depth)
    for depth in range(1, deepest + 1):
        if depth <= down_depth:
            for place in range(scratch[ENDS + DOWN, depth - 1], scratch[ENDS + DOWN, depth]):
                node = scratch[QUEUE + DOWN, place]
                other = scratch[MARKS + UP, node] - tick
                if other < 0 or other >= depth:
                    queue[tail] = node
                    tail += 1
        if depth <= up_depth:
            for place in range(scratch[ENDS + UP, depth - 1], scratch[ENDS + UP, depth]):
                node = scratch[QUEUE + UP, place]
                other = scratch[MARKS + DOWN, node] - tick
                if other < 0 or other > depth:
                    queue[tail] = node
                    tail += 1
        ends[depth] = tail
    while deepest > 0 and ends[deepest] == ends[deepest - 1]:
        deepest -= 1
    return deepest


@kernel("int64(int32[:, ::1], int64, int64, int64)", nogil=False)
def cut(scratch: Any, walk: int, deepest: int, limit: int) -> int:
    """
    Cut a walk off behind ``limit`` nodes, and count; returns the greatest depth left.

    Marks the nodes that are kept if that leaves any out.
    """
    answer, queue, ends = scratch[ANSWER], scratch[QUEUE + walk], scratch[ENDS + walk]
    # The start is one of those counted in ``ends``.
    truncated = 0 < limit < ends[deepest] - 1
    if truncated:
        while ends[deepest - 1] > limit:
            deepest -= 1
        ends[deepest] = limit + 1
        for place in range(limit + 1):
            scratch[MARKS + BOTH, queue[place]] = answer[TICK]
    for depth in range(deepest):
        answer[COUNTS + depth] = ends[depth + 1] - ends[depth]
    answer[TRUNCATED] = truncated
    answer[EDGE_COUNT] = 0
    return deepest


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int32[::1], int64, int64, int64, "
    "boolean, int64, boolean, int64, float64)",
    nogil=False,
)
def collect(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    crossed: Any,
    walk: int,
    expanded: int,
    also_down: int,
    truncated: bool,
    blocked: int,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """
    Append the passing edges of the first ``expanded`` nodes of a walk to ``crossed``.

    Returns how many there are now.

    If the answer is truncated, only those between nodes that are kept. ``also_down`` is for an
    upward walk after a downward one: how far that one went; the edges it went over are there
    already.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    queue, down, kept = scratch[QUEUE + walk], scratch[MARKS + DOWN], scratch[MARKS + BOTH]
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    tick = scratch[ANSWER, TICK]
    tail = scratch[ANSWER, EDGE_COUNT]
    checked = blocked != 0 or level > 0
    for place in range(expanded):
        if place % BLOCK == 0:
            scratch[ANSWER, FETCHED] = fetch(nodes, edges, queue, side, place, min(place + BLOCK, expanded))
        node = queue[place]
        first = nodes[node, side + START]
        last = first + nodes[node, side + part]
        if not truncated and not checked and not also_down:
            for slot in range(first, last):
                crossed[tail + slot - first] = edges[slot]
            tail += last - first
            continue
        if truncated and kept[node] != tick:
            continue
        for slot in range(first, last):
            neighbour = neighbours[slot]
            if also_down and tick <= down[neighbour] < tick + also_down:
                continue
            if truncated and kept[neighbour] != tick:
                continue
            if checked and not passes(pool, confidence, slot, blocked, level, floor):
                continue
            crossed[tail] = edges[slot]
            tail += 1
    return int(tail)


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int32[::1], "
    "int64, int64, int64, int64, boolean, int64, boolean, float64)",
    nogil=False,
    checked=False,
)
def reach(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    crossed: Any,
    start: int,
    walk: int,
    max_depth: int,
    limit: int,
    with_edges: bool,
    blocked: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Answer one traversal.

    Nodes are in ``scratch[QUEUE + walk]`` behind the start, edges in ``crossed``, counts in
    ``scratch[ANSWER]``.

    ``limit`` 0 = none. Returns the greatest depth at which there are nodes.
    """
    answer = scratch[ANSWER]
    tick = answer[TICK]
    level = int(floor * LEVELS)
    if level < floor * LEVELS:
        level += 1
    everything = len(nodes) + 1
    enough = limit + 1 if 0 < limit < everything and not (with_edges and walk == BOTH) else everything
    max_depth = min(max_depth, everything)
    down_depth, up_depth, deepest = 0, 0, 0
    if walk != UP:
        down_depth = deepest = search(
            nodes, pool, confidence, scratch, DOWN, start, max_depth, enough, blocked, whole, level, floor
        )
    if walk != DOWN:
        up_depth = deepest = search(
            nodes, pool, confidence, scratch, UP, start, max_depth, enough, blocked, whole, level, floor
        )
    if walk == BOTH:
        deepest = join(scratch, down_depth, up_depth)
    next_tick = tick + max(down_depth, up_depth) + 1

    depth = cut(scratch, walk, deepest, limit)
    down_depth = depth if walk == DOWN else down_depth
    up_depth = depth if walk == UP else up_depth
    truncated = answer[TRUNCATED] != 0
    if with_edges:
        if walk != UP:
            expanded = scratch[ENDS + DOWN, min(down_depth, max_depth - 1)]
            answer[EDGE_COUNT] = collect(
                nodes,
                pool,
                confidence,
                scratch,
                crossed,
                DOWN,
                expanded,
                0,
                truncated,
                blocked,
                whole,
                level,
                floor,
            )
        if walk != DOWN:
            expanded = scratch[ENDS + UP, min(up_depth, max_depth - 1)]
            also_down = max_depth if walk == BOTH else 0
            answer[EDGE_COUNT] = collect(
                nodes,
                pool,
                confidence,
                scratch,
                crossed,
                UP,
                expanded,
                also_down,
                truncated,
                blocked,
                whole,
                level,
                floor,
            )

    if next_tick > LAST_TICK:
        scratch[MARKS : MARKS + BOTH + 1] = 0
        next_tick = 1
    answer[TICK] = next_tick
    return int(depth)
