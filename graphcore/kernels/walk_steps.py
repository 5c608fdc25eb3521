"""
The steps of a walk: search one way, join two ways, cut off at a limit, collect edges.

``walking`` describes the rows of the scratch array, ``filtering`` the question. Kernels are inlined
where they are called: an argument that is a constant there, ``by_pair`` above all, costs nothing in
the loops.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.filtering import choose, passes, take_lead
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

BLOCK = 256
"""Segments fetched ahead: all must still be in the cache when the walk reads them."""

GRAPH = "int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1]"
"""Types of nodes, pool, confidence and scratch, for signatures."""

QUESTION = "int64, int64, boolean, boolean, int64, float64"
"""Types of blocked, unwanted, by_pair, whole, level and floor, for signatures."""


@kernel("int64(int32[:, ::1], int32[::1], int32[::1], int64, int64, int64)", nogil=False)
def fetch(nodes: Any, row: Any, queue: Any, side: int, begin: int, end: int) -> int:
    """
    Read the first entry of the segments of ``queue[begin:end]`` in a row of the pool.

    So the processor fetches all of them at once.

    Going over the segments right away it would wait for memory at each: on a million edges a walk
    takes two to three times as long. Returns a number that means nothing; the caller keeps it,
    or the compiler would leave the reading out.
    """
    kept = 0
    for place in range(begin, end):
        kept ^= row[nodes[queue[place], side + START]]
    return kept


@kernel(f"int64({GRAPH}, int64, int64, int64, int64, {QUESTION})", nogil=False)
def search(  # noqa: C901, PLR0912 - one search for both questions
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    walk: int,
    start: int,
    max_depth: int,
    enough: int,
    blocked: int,
    unwanted: int,
    by_pair: bool,
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
    neighbours, flags, leads = pool[NEIGHBOUR], pool[FLAGS], scratch[LEADS]
    checked = by_pair or blocked != 0 or level > 0
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
                last = first + nodes[node, side + part]
                if by_pair:
                    choose(pool, confidence, leads, first, last, blocked, level, floor)
                for slot in range(first, last):
                    neighbour = neighbours[slot]
                    if by_pair and not take_lead(leads, neighbour, slot):
                        continue
                    if marks[neighbour] >= tick:
                        continue
                    if by_pair:
                        if flags[slot] & unwanted:
                            continue
                    elif checked and not passes(pool, confidence, slot, blocked, level, floor):
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


@kernel(f"int64({GRAPH}, int32[::1], int64, int64, int64, boolean, {QUESTION})", nogil=False)
def collect(  # noqa: C901 - for both questions, too
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
    unwanted: int,
    by_pair: bool,
    whole: bool,
    level: int,
    floor: float,
) -> int:
    """
    Append the passing edges of the first ``expanded`` nodes of a walk to ``crossed``.

    Returns how many there are now. By pair, these are the leading edges.

    If the answer is truncated, only those between nodes that are kept. ``also_down`` is for an
    upward walk after a downward one: how far that one went; the edges it went over are there
    already.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    queue, down, kept = scratch[QUEUE + walk], scratch[MARKS + DOWN], scratch[MARKS + BOTH]
    neighbours, edges, flags, leads = pool[NEIGHBOUR], pool[EDGE], pool[FLAGS], scratch[LEADS]
    tick = scratch[ANSWER, TICK]
    tail = scratch[ANSWER, EDGE_COUNT]
    checked = blocked != 0 or level > 0
    for place in range(expanded):
        if place % BLOCK == 0:
            end = min(place + BLOCK, expanded)
            scratch[ANSWER, FETCHED] = fetch(nodes, flags if by_pair else edges, queue, side, place, end)
            if by_pair:
                scratch[ANSWER, FETCHED] ^= fetch(nodes, neighbours, queue, side, place, end)
        node = queue[place]
        if truncated and kept[node] != tick:
            continue
        first = nodes[node, side + START]
        last = first + nodes[node, side + part]
        if by_pair:
            choose(pool, confidence, leads, first, last, blocked, level, floor)
        elif not (truncated or checked or also_down):
            for slot in range(first, last):
                crossed[tail + slot - first] = edges[slot]
            tail += last - first
            continue
        for slot in range(first, last):
            neighbour = neighbours[slot]
            if by_pair and (not take_lead(leads, neighbour, slot) or flags[slot] & unwanted):
                continue
            if also_down and tick <= down[neighbour] < tick + also_down:
                continue
            if truncated and kept[neighbour] != tick:
                continue
            if not by_pair and checked and not passes(pool, confidence, slot, blocked, level, floor):
                continue
            crossed[tail] = edges[slot]
            tail += 1
    return int(tail)


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
