"""
The steps of a walk: search one way, join two ways, cut off at a limit, collect edges.

``walking`` describes the rows of the scratch array, ``filtering`` the question. The steps index the
scratch array by row and column: numba counts the references to every view of a row, which takes
longer than many a walk.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import (
    ANSWER,
    BOTH,
    COUNT,
    COUNTS,
    DEPTHS,
    DOWN,
    EDGE,
    ENDS,
    FETCHED,
    FLAGS,
    FRESH,
    IN,
    MARKS,
    NEIGHBOUR,
    NODE_COUNT,
    OUT,
    SHUT,
    SHUTS,
    START,
    TICK,
    TRUNCATED,
    UP,
)
from graphcore.kernels.filtering import EDGES_ASKED, LEADS_ALONE, NO_LEAD, choose, passes, take_lead, words_of

BLOCK = 256
"""Segments fetched ahead: all must still be in the cache when the walk reads them."""

GRAPH = "int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], int32[::1]"
"""Types of nodes, pool, confidence, scratch and queue, for signatures."""

ASKED = f"boolean, {EDGES_ASKED}, boolean, int64"
"""Types of whole, asked, by_pair and unwanted, for signatures."""


@kernel(
    "void(int32[:, ::1], int32[:, ::1], int32[:, ::1], int32[::1], int64, int64, int64, int64)", nogil=False
)
def fetch(nodes: Any, pool: Any, scratch: Any, queue: Any, row: int, side: int, begin: int, end: int) -> None:
    """
    Read the first entry of the segments of ``queue[begin:end]`` in a row of the pool.

    So the processor fetches all of them at once. Going over the segments right away it would wait
    for memory at each: on a million edges a walk takes two to three times as long. Keeps a number
    that means nothing, or the compiler would leave the reading out.
    """
    kept = 0
    for place in range(begin, end):
        kept ^= pool[row, nodes[queue[place], side + START]]
    scratch[ANSWER, FETCHED] = kept


@kernel(f"int64({GRAPH}, int64, int64, int64, int64, int64, {ASKED})", nogil=False)
def search(  # noqa: C901 - one search for both questions
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    queue: Any,
    base: int,
    walk: int,
    start: int,
    max_depth: int,
    enough: int,
    whole: bool,
    asked: tuple[int, int, float],
    by_pair: bool,
    unwanted: int,
) -> int:
    """
    Search breadth-first one way, until more than ``enough`` nodes are found.

    Returns the greatest depth at which there are any.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    marks, ends = MARKS + walk, ENDS + walk
    checked = asked[0] != 0 or asked[1] > 0
    tick = scratch[ANSWER, TICK]
    scratch[marks, start] = tick
    queue[base] = start
    scratch[ends, 0] = 1
    head, tail, depth = 0, 1, 0
    while depth < max_depth and head < tail <= enough:
        depth += 1
        end = tail
        while head < end and tail <= enough:
            begin, head = head, min(head + BLOCK, end)
            fetch(nodes, pool, scratch, queue, NEIGHBOUR, side, base + begin, base + head)
            if by_pair or checked:
                fetch(nodes, pool, scratch, queue, FLAGS, side, base + begin, base + head)
            for place in range(begin, head):
                node = queue[base + place]
                first = nodes[node, side + START]
                last = first + nodes[node, side + part]
                if by_pair:
                    choose(pool, confidence, scratch, first, last, asked)
                for slot in range(first, last):
                    neighbour = pool[NEIGHBOUR, slot]
                    taken = take_lead(scratch, neighbour, slot) if by_pair else LEADS_ALONE
                    if taken == NO_LEAD:
                        continue
                    if scratch[marks, neighbour] >= tick:
                        continue
                    if by_pair:
                        if words_of(pool, scratch, neighbour, slot, taken) & unwanted:
                            continue
                    elif checked and not passes(pool, confidence, slot, asked):
                        continue
                    scratch[marks, neighbour] = tick + depth
                    queue[base + tail] = neighbour
                    tail += 1
        scratch[ends, depth] = tail
    if depth > 0 and scratch[ends, depth] == scratch[ends, depth - 1]:
        depth -= 1
    return depth


@kernel(f"int64({GRAPH}, int64, int64, int64, int64, int64, {ASKED})", nogil=False)
def collect(  # noqa: C901, PLR0912 - for both questions, too
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    queue: Any,
    base: int,
    tail: int,
    walk: int,
    expanded: int,
    also_down: int,
    whole: bool,
    asked: tuple[int, int, float],
    by_pair: bool,
    unwanted: int,
) -> int:
    """
    Write the edges that pass of the first ``expanded`` nodes of a walk to ``queue[tail:]``.

    Returns where they end. By pair, these are the leading edges. If the answer is truncated, only
    those between nodes that are kept, and never those to SHUT ones. ``also_down`` is for an upward
    walk after a downward one: how far that one went; the edges it went over are there already.
    """
    side = OUT if walk == DOWN else IN
    part = COUNT if whole else FRESH
    tick = scratch[ANSWER, TICK]
    truncated, shuts = scratch[ANSWER, TRUNCATED] != 0, scratch[ANSWER, SHUTS] != 0
    checked = not by_pair and (asked[0] != 0 or asked[1] > 0)
    for place in range(expanded):
        if place % BLOCK == 0:
            begin, end = base + place, base + min(place + BLOCK, expanded)
            fetch(nodes, pool, scratch, queue, FLAGS if by_pair else EDGE, side, begin, end)
            if by_pair:
                fetch(nodes, pool, scratch, queue, NEIGHBOUR, side, begin, end)
        node = queue[base + place]
        if truncated and scratch[MARKS + BOTH, node] != tick:
            continue
        first = nodes[node, side + START]
        last = first + nodes[node, side + part]
        if by_pair:
            choose(pool, confidence, scratch, first, last, asked)
        elif not (truncated or checked or also_down or shuts):
            for slot in range(first, last):
                queue[tail + slot - first] = pool[EDGE, slot]
            tail += last - first
            continue
        for slot in range(first, last):
            neighbour = pool[NEIGHBOUR, slot]
            if by_pair:
                taken = take_lead(scratch, neighbour, slot)
                if taken == NO_LEAD or words_of(pool, scratch, neighbour, slot, taken) & unwanted:
                    continue
            if (shuts and scratch[MARKS + walk, neighbour] == SHUT) or (
                also_down and tick <= scratch[MARKS + DOWN, neighbour] < tick + also_down
            ):
                continue
            if truncated and scratch[MARKS + BOTH, neighbour] != tick:
                continue
            if checked and not passes(pool, confidence, slot, asked):
                continue
            queue[tail] = pool[EDGE, slot]
            tail += 1
    return tail


@kernel("void(int32[:, ::1], int32[::1], int64, int64)", nogil=False)
def join(scratch: Any, queue: Any, base: int, everything: int) -> None:
    """Join both walks: each node with its smaller depth, equal depths downstream first."""
    tick, depths = scratch[ANSWER, TICK], scratch[ANSWER, DEPTHS : DEPTHS + BOTH]
    queue[base] = queue[base + everything]
    scratch[ENDS + BOTH, 0] = tail = 1
    for depth in range(1, max(depths[DOWN], depths[UP]) + 1):
        for way in range(DOWN, BOTH):
            if depth > depths[way]:
                continue
            its_base = base + (way + 1) * everything
            for place in range(scratch[ENDS + way, depth - 1], scratch[ENDS + way, depth]):
                node = queue[its_base + place]
                other = scratch[MARKS + DOWN + UP - way, node] - tick
                if other < 0 or other > depth or (way == DOWN and other == depth):
                    queue[base + tail] = node
                    tail += 1
        scratch[ENDS + BOTH, depth] = tail


@kernel("int64(int32[:, ::1], int32[::1], int64, int64, int64)", nogil=False)
def cut(scratch: Any, queue: Any, base: int, walk: int, limit: int) -> int:
    """
    Cut a walk off behind ``limit`` nodes, and count; returns the greatest depth left.

    Marks the nodes that are kept if that leaves any out.
    """
    ends = ENDS + walk
    deepest = max(scratch[ANSWER, DEPTHS + DOWN], scratch[ANSWER, DEPTHS + UP])
    # The start is one of those counted in ENDS.
    kept = scratch[ends, deepest]
    truncated = 0 < limit < kept - 1
    if truncated:
        kept = limit + 1
        for place in range(base, base + kept):
            scratch[MARKS + BOTH, queue[place]] = scratch[ANSWER, TICK]
    while deepest > 0 and scratch[ends, deepest - 1] >= kept:
        deepest -= 1
    scratch[ANSWER, TRUNCATED] = truncated
    scratch[ends, deepest] = kept
    for depth in range(deepest):
        scratch[ANSWER, COUNTS + depth] = scratch[ends, depth + 1] - scratch[ends, depth]
    scratch[ANSWER, NODE_COUNT] = kept
    return int(deepest)
