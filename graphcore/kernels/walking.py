"""
Kernels that answer one traversal: over all edges, or over pairs of services.

``filtering`` defines both questions. A walk over pairs crosses each pair once, by its leading edge.

The scratch array has a column for every node and some more. A walk takes these rows of it:

- ``MARKS``: the tick of the walk + the node's depth; whatever is below the tick was left by former
  walks and means "not found". So nothing has to be cleared between walks; when the ticks run out of
  31 bits, the marks are cleared once and ticks begin anew.
- ``QUEUE``: the nodes in the order in which they were found, the start first.
- ``ENDS``: how many of these lie at most 0, 1, 2, … hops from the start.

Walking both ways makes two walks, ``DOWN`` and ``UP``, and joins their queues in the rows of
``BOTH``; its marks say which nodes a limit keeps. ``scratch[LEADS]`` is ``leads`` of ``filtering``.

Where nothing but staleness keeps an edge out, neither flags nor confidences are read: stale edges
have a part of the segment to themselves.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.filtering import level_of
from graphcore.kernels.layout import ANSWER, BOTH, DOWN, EDGE_COUNT, ENDS, MARKS, TICK, TRUNCATED, UP
from graphcore.kernels.walk_steps import GRAPH, QUESTION, collect, cut, join, search

LAST_TICK = 2**30

WALK = "int32[::1], int64, int64, int64, int64, boolean"
"""Types of crossed, start, walk, max_depth, limit and with_edges, for signatures."""


@kernel(f"int64({GRAPH}, int64, int64, int64, int64, {QUESTION})", nogil=False)
def search_one_way(
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
    Search one way, by pair only where a leading edge may be unwanted.

    Else any edge that takes part crosses its pair, and it does not matter which one leads.
    """
    # Each branch has a search of its own, in which ``by_pair`` is a constant.
    if by_pair and unwanted:
        depth = search(
            nodes,
            pool,
            confidence,
            scratch,
            walk,
            start,
            max_depth,
            enough,
            blocked,
            unwanted,
            True,
            whole,
            level,
            floor,
        )
    else:
        depth = search(
            nodes,
            pool,
            confidence,
            scratch,
            walk,
            start,
            max_depth,
            enough,
            blocked,
            0,
            False,
            whole,
            level,
            floor,
        )
    return int(depth)


@kernel(f"int64({GRAPH}, {WALK}, int64, int64, boolean, boolean, float64)", nogil=False)
def answer_walk(
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
    unwanted: int,
    by_pair: bool,
    whole: bool,
    floor: float,
) -> int:
    """
    Answer one traversal.

    Nodes are in ``scratch[QUEUE + walk]`` behind the start, edges in ``crossed``, counts in
    ``scratch[ANSWER]``. ``limit`` 0 = none. Returns the greatest depth at which there are nodes.
    """
    answer = scratch[ANSWER]
    level = level_of(floor)
    everything = len(nodes) + 1
    enough = limit + 1 if 0 < limit < everything and not (with_edges and walk == BOTH) else everything
    max_depth = min(max_depth, everything)
    down_depth, up_depth = 0, 0
    for way in range(DOWN, BOTH):
        if walk not in (way, BOTH):
            continue
        found = search_one_way(
            nodes,
            pool,
            confidence,
            scratch,
            way,
            start,
            max_depth,
            enough,
            blocked,
            unwanted,
            by_pair,
            whole,
            level,
            floor,
        )
        if way == DOWN:
            down_depth = found
        else:
            up_depth = found
    deepest = join(scratch, down_depth, up_depth) if walk == BOTH else max(down_depth, up_depth)
    next_tick = answer[TICK] + max(down_depth, up_depth) + 1

    depth = cut(scratch, walk, deepest, limit)
    for way in range(DOWN, BOTH):
        if not with_edges or walk not in (way, BOTH):
            continue
        # A limit makes a single walk shorter; two walks were whole.
        found = depth if walk == way else (down_depth if way == DOWN else up_depth)
        answer[EDGE_COUNT] = collect(
            nodes,
            pool,
            confidence,
            scratch,
            crossed,
            way,
            scratch[ENDS + way, min(found, max_depth - 1)],
            max_depth if way == UP and walk == BOTH else 0,
            answer[TRUNCATED] != 0,
            blocked,
            unwanted,
            by_pair,
            whole,
            level,
            floor,
        )

    if next_tick > LAST_TICK:
        scratch[MARKS : MARKS + BOTH + 1] = 0
        next_tick = 1
    answer[TICK] = next_tick
    return int(depth)


@kernel(f"int64({GRAPH}, {WALK}, int64, boolean, float64)", nogil=False, checked=False)
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
    """Answer one traversal over all edges, as ``answer_walk`` describes."""
    depth = answer_walk(
        nodes,
        pool,
        confidence,
        scratch,
        crossed,
        start,
        walk,
        max_depth,
        limit,
        with_edges,
        blocked,
        0,
        False,
        whole,
        floor,
    )
    return int(depth)


@kernel(f"int64({GRAPH}, {WALK}, int64, int64, boolean, float64)", nogil=False, checked=False)
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
    blocked: int,
    unwanted: int,
    whole: bool,
    floor: float,
) -> int:
    """Answer one traversal over pairs; the edges are the leading ones of the pairs crossed."""
    depth = answer_walk(
        nodes,
        pool,
        confidence,
        scratch,
        crossed,
        start,
        walk,
        max_depth,
        limit,
        with_edges,
        blocked,
        unwanted,
        True,
        whole,
        floor,
    )
    return int(depth)
