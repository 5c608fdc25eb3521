"""
The kernel that answers one traversal: over all edges, or over pairs of services.

``filtering`` defines both questions. A walk over pairs crosses each pair once, by its leading edge.

The scratch array has a column for every node and some more. A walk takes these rows of it:

- ``MARKS``: the tick of the walk + the node's depth; whatever is below the tick was left by former
  walks and means "not found". So nothing has to be cleared between walks; when the ticks run out of
  31 bits, the marks are cleared once and ticks begin anew. A SHUT mark is above all ticks: to a
  search, the node has been found before.
- ``ENDS``: how many nodes lie at most 0, 1, 2, … hops from the start.

``queue[base:]`` are the nodes in the order in which they were found, the start first, then edges.
Walking both ways makes two walks, ``DOWN`` and ``UP``, whose queues follow behind room for every
node, and joins them at ``base``; the marks of ``BOTH`` say which nodes a limit keeps. ``filtering``
uses the rows ``LEADS``, ``MODES`` and ``CRITICALITIES``.

Where nothing but staleness keeps an edge out, neither flags nor confidences are read: stale edges
have a part of the segment to themselves.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import ANSWER, BOTH, DEPTHS, DOWN, EDGE_COUNT, ENDS, MARKS, NODE_COUNT, SHUT, TICK, UP
from graphcore.kernels.filtering import edges_asked
from graphcore.kernels.walk_steps import GRAPH, collect, cut, join, search

LAST_TICK = 2**30


@kernel("void(int32[:, ::1])", nogil=False)
def begin(scratch: Any) -> None:
    """Choose a tick above all marks that former walks left."""
    tick = scratch[ANSWER, TICK] + max(scratch[ANSWER, DEPTHS + DOWN], scratch[ANSWER, DEPTHS + UP]) + 1
    if tick > LAST_TICK:
        for row in range(MARKS, MARKS + BOTH + 1):
            for column in range(scratch.shape[1]):
                if scratch[row, column] != SHUT:
                    scratch[row, column] = 0
        tick = 1
    scratch[ANSWER, TICK] = tick


@kernel("int64(int64, int64, int64, int64)", nogil=False)
def base_of(base: int, walk: int, way: int, everything: int) -> int:
    """Return where the queue of one way of a walk begins."""
    return base if walk == way else base + (way + 1) * everything


@kernel(
    f"int64({GRAPH}, int64, int64, int64, int64, int64, boolean, int64, boolean, boolean, float64)",
    nogil=False,
    checked=False,
)
def reach(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    queue: Any,
    base: int,
    start: int,
    walk: int,
    max_depth: int,
    limit: int,
    with_edges: bool,
    blocked: int,
    by_pair: bool,
    whole: bool,
    floor: float,
) -> int:
    """
    Answer one traversal; returns the greatest depth at which there are nodes.

    Those are in ``queue`` behind the start at ``base``, then edges; counts in ``scratch[ANSWER]``.
    ``limit`` 0 = none.
    """
    begin(scratch)
    asked = edges_asked(blocked, by_pair, floor)
    unwanted = blocked - asked[0]
    everything = len(nodes) + 1
    enough = limit + 1 if 0 < limit < everything and not (with_edges and walk == BOTH) else everything
    max_depth = min(max_depth, everything)
    # Unless a pair may be unwanted, any edge that takes part crosses it, and it does not matter
    # which one leads.
    may_block = unwanted != 0
    for way in range(DOWN, BOTH):
        depth = 0
        if walk in (way, BOTH):
            its_base = base_of(base, walk, way, everything)
            depth = search(
                nodes,
                pool,
                confidence,
                scratch,
                queue,
                its_base,
                way,
                start,
                max_depth,
                enough,
                whole,
                asked,
                may_block,
                unwanted,
            )
        scratch[ANSWER, DEPTHS + way] = depth
    if walk == BOTH:
        join(scratch, queue, base, everything)
    deepest = cut(scratch, queue, base, walk, limit)
    scratch[ANSWER, EDGE_COUNT] = 0
    if with_edges:
        end = base + scratch[ANSWER, NODE_COUNT]
        tail = first = base + 3 * everything if walk == BOTH else end
        for way in range(DOWN, BOTH):
            if walk in (way, BOTH):
                # A limit makes a single walk shorter; two walks were whole.
                depth = deepest if walk == way else scratch[ANSWER, DEPTHS + way]
                tail = collect(
                    nodes,
                    pool,
                    confidence,
                    scratch,
                    queue,
                    base_of(base, walk, way, everything),
                    tail,
                    way,
                    scratch[ENDS + way, min(depth, max_depth - 1)],
                    max_depth if way == UP and walk == BOTH else 0,
                    whole,
                    asked,
                    by_pair,
                    unwanted,
                )
        for place in range(tail - first):
            queue[end + place] = queue[first + place]
        scratch[ANSWER, EDGE_COUNT] = tail - first
    return int(deepest)
