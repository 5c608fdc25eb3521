"""
Kernels that walk over effective dependencies.

Each pair of services is crossed once, and only where its leading edge is wanted.

Scratch and answers are those of ``walking``, what leads is decided as in ``effective``;
``scratch[LEADS]`` is what that calls ``leads``. A walk looks at the edges of the services it goes
on from, twice at each, and never at any other.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.effective import choose, level_of
from graphcore.kernels.layout import (
    ANSWER,
    BOTH,
    COUNT,
    DOWN,
    EDGE,
    EDGE_COUNT,
    ENDS,
    FETCHED,
    FLAGS,
    FRESH,
    IN,
    LEADS,
    MARKS,
    NEIGHBOUR,
    OUT,
    QUEUE,
    START,
    TICK,
    TRUNCATED,
    UP,
)
from graphcore.kernels.walking import BLOCK, LAST_TICK, cut, fetch, join, search


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, int64, int64, "
    "int64, int64, boolean, int64, float64)",
    nogil=False,
)
def search_pairs(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    walk: int,
    start: int,
    max_depth: int,
    enough: int,
    unheard: int,
    unwanted: int,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """Search as ``walking.search`` does, over pairs whose leading edge is wanted."""
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    marks, queue, ends = scratch[MARKS + walk], scratch[QUEUE + walk], scratch[ENDS + walk]
    neighbours, flags, leads = pool[NEIGHBOUR], pool[FLAGS], scratch[LEADS]
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
            scratch[ANSWER, FETCHED] ^= fetch(nodes, flags, queue, side, begin, head)
            for place in range(begin, head):
                node = queue[place]
                first = nodes[node, side + START]
                last = first + nodes[node, side + part]
                choose(pool, confidence, leads, first, last, unheard, level, floor)
                for slot in range(first, last):
                    neighbour = neighbours[slot]
                    if leads[neighbour] != slot + 1:
                        continue
                    leads[neighbour] = 0
                    if marks[neighbour] >= tick or flags[slot] & unwanted:
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


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int32[::1], int64, int64, int64, "
    "boolean, int64, int64, boolean, int64, float64)",
    nogil=False,
)
def collect_pairs(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    crossed: Any,
    walk: int,
    expanded: int,
    also_down: int,
    truncated: bool,
    unheard: int,
    unwanted: int,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """
    Append the wanted leading edges of the first ``expanded`` nodes of a walk to ``crossed``.

    ``walking.collect`` does so with all edges.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    queue, down, kept = scratch[QUEUE + walk], scratch[MARKS + DOWN], scratch[MARKS + BOTH]
    neighbours, edges, flags, leads = pool[NEIGHBOUR], pool[EDGE], pool[FLAGS], scratch[LEADS]
    tick = scratch[ANSWER, TICK]
    tail = scratch[ANSWER, EDGE_COUNT]
    for place in range(expanded):
        if place % BLOCK == 0:
            end = min(place + BLOCK, expanded)
            scratch[ANSWER, FETCHED] = fetch(nodes, neighbours, queue, side, place, end)
            scratch[ANSWER, FETCHED] ^= fetch(nodes, flags, queue, side, place, end)
        node = queue[place]
        if truncated and kept[node] != tick:
            continue
        first = nodes[node, side + START]
        last = first + nodes[node, side + part]
        choose(pool, confidence, leads, first, last, unheard, level, floor)
        for slot in range(first, last):
            neighbour = neighbours[slot]
            if leads[neighbour] != slot + 1:
                continue
            leads[neighbour] = 0
            if flags[slot] & unwanted or (also_down and tick <= down[neighbour] < tick + also_down):
                continue
            if truncated and kept[neighbour] != tick:
                continue
            crossed[tail] = edges[slot]
            tail += 1
    return int(tail)


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, int64, int64, "
    "int64, int64, boolean, int64, float64)",
    nogil=False,
)
def search_either(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    walk: int,
    start: int,
    max_depth: int,
    enough: int,
    unheard: int,
    unwanted: int,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """
    Search one way.

    Where no leading edge is unwanted a pair is crossed if any edge takes part, and which one leads
    does not matter.
    """
    if not unwanted:
        depth = search(
            nodes, pool, confidence, scratch, walk, start, max_depth, enough, unheard, whole, level, floor
        )
        return int(depth)
    depth = search_pairs(
        nodes,
        pool,
        confidence,
        scratch,
        walk,
        start,
        max_depth,
        enough,
        unheard,
        unwanted,
        whole,
        level,
        floor,
    )
    return int(depth)


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int32[::1], "
    "int64, int64, int64, int64, boolean, int64, int64, boolean, float64)",
    nogil=False,
    checked=False,
)
def reach_pairs(
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
    unheard: int,
    unwanted: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Answer one traversal as ``walking.reach`` does.

    The edges are the leading ones of the pairs crossed.
    """
    answer = scratch[ANSWER]
    level = level_of(floor)
    everything = len(nodes) + 1
    enough = limit + 1 if 0 < limit < everything and not (with_edges and walk == BOTH) else everything
    max_depth = min(max_depth, everything)
    down_depth, up_depth, deepest = 0, 0, 0
    if walk != UP:
        down_depth = deepest = search_either(
            nodes,
            pool,
            confidence,
            scratch,
            DOWN,
            start,
            max_depth,
            enough,
            unheard,
            unwanted,
            whole,
            level,
            floor,
        )
    if walk != DOWN:
        up_depth = deepest = search_either(
            nodes,
            pool,
            confidence,
            scratch,
            UP,
            start,
            max_depth,
            enough,
            unheard,
            unwanted,
            whole,
            level,
            floor,
        )
    if walk == BOTH:
        deepest = join(scratch, down_depth, up_depth)
    next_tick = answer[TICK] + max(down_depth, up_depth) + 1

    depth = cut(scratch, walk, deepest, limit)
    for way in range(DOWN, BOTH):
        if not with_edges or walk not in (way, BOTH):
            continue
        # A limit makes a single walk shorter; two walks were whole.
        found = depth if walk == way else (down_depth if way == DOWN else up_depth)
        answer[EDGE_COUNT] = collect_pairs(
            nodes,
            pool,
            confidence,
            scratch,
            crossed,
            way,
            scratch[ENDS + way, min(found, max_depth - 1)],
            max_depth if way == UP and walk == BOTH else 0,
            answer[TRUNCATED] != 0,
            unheard,
            unwanted,
            whole,
            level,
            floor,
        )

    if next_tick > LAST_TICK:
        scratch[MARKS : MARKS + BOTH + 1] = 0
        next_tick = 1
    answer[TICK] = next_tick
    return int(depth)
