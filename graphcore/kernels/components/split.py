"""
What lost edges do to a component: whether it stays strongly connected, and else its parts.

A component C that lost edges is tracked by *pending* pairs (x, y) of its nodes. Invariant: C would
be strongly connected if each pending pair were an edge. At first the pairs are the lost edges. If x
still reaches y inside C, the pair is dropped. If not, one of the two searches, forward from x or
backward from y, has run dry: its nodes S are closed under successors (predecessors) inside C, so
every component that shares a node with S lies within S. S is taken out of C, and a local search
finds its parts. To restore the invariant for the rest, let the *anchor* be the end of the pair that
is not in S. A path through S enters it from some a and leaves it to some b; the pairs (a, anchor)
and (anchor, b) replace that path. C is strongly connected when no pair is left.

Orders: the parts of S get orders between C's own and that of the nearest neighbour of S outside C,
so that callers still come before what they call. Added edges that were not processed yet may
contradict the order. Neighbours on the wrong side come from such edges and set no bound.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, START
from graphcore.kernels.components import (
    BACKWARD,
    CHAINED,
    DONE,
    EDGES,
    FORWARD,
    GRAPH,
    HEAD,
    KEPT,
    LABEL,
    LISTED,
    LOCAL,
    NEXT,
    NO_NODE,
    OVER,
    PENDING,
    PENDING_SOURCE,
    PENDING_TARGET,
    QUEUE,
    SIDE_COLUMNS,
    SIZE,
    STAMP,
    WORK,
)
from graphcore.kernels.components.parts import bound_beyond, regroup


@kernel("int64(int64[::1], int32[:, ::1], int64, int64)", nogil=False)
def push_pair(counters: Any, lists: Any, source: int, target: int) -> int:
    """Add a pending pair, unless its ends are the same."""
    if source == target:
        return DONE
    if counters[PENDING] == lists.shape[1]:
        return OVER
    lists[PENDING_SOURCE, counters[PENDING]] = source
    lists[PENDING_TARGET, counters[PENDING]] = target
    counters[PENDING] += 1
    return DONE


@kernel("void(int32[::1], int64[::1], int32[:, ::1], int64)", nogil=False)
def redirect_pairs(local: Any, counters: Any, lists: Any, anchor: int) -> None:
    """
    Let pending pairs with one end in S end at the anchor instead.

    ``local`` is not negative in S. Drops pairs in S, or without an anchor.
    """
    kept = 0
    for column in range(counters[PENDING]):
        source, target = lists[PENDING_SOURCE, column], lists[PENDING_TARGET, column]
        if local[source] >= 0:
            source = anchor
        if local[target] >= 0:
            target = anchor
        if source != target and min(source, target) != NO_NODE:
            lists[PENDING_SOURCE, kept] = source
            lists[PENDING_TARGET, kept] = target
            kept += 1
    counters[WORK] -= counters[PENDING]
    counters[PENDING] = kept


@kernel(f"int64({GRAPH}, int32[:, ::1], int64[::1], int32[:, ::1], int64, int64)", nogil=False)
def stand_in(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    counters: Any,
    lists: Any,
    side: int,
    anchor: int,
) -> int:
    """
    Let pairs with the anchor replace the edges between S and the rest.

    S is the LISTED nodes of a side. Its edges no longer count for the component.
    """
    local, seen, label = state[LOCAL], state[CHAINED], state[LABEL, anchor]
    counters[STAMP] += 1
    for position in range(counters[LISTED]):
        node = state[QUEUE + side, position]
        for way in (FORWARD, BACKWARD):
            begin = nodes[node, SIDE_COLUMNS * way + START]
            end = begin + nodes[node, SIDE_COLUMNS * way + FRESH]
            counters[WORK] -= end - begin
            for slot in range(begin, end):
                other = pool[NEIGHBOUR, slot]
                if state[LABEL, other] != label or (local[other] >= 0 and way == BACKWARD):
                    continue
                if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                    continue
                state[EDGES, label] -= 1
                if local[other] < 0 and seen[other] != counters[STAMP]:
                    seen[other] = counters[STAMP]
                    source, target = (other, anchor) if side == FORWARD else (anchor, other)
                    if push_pair(counters, lists, source, target) == OVER:
                        return OVER
    return DONE


@kernel(f"int64({GRAPH}, {KEPT}, int64, int64)", nogil=False)
def take_out(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    side: int,
    anchor: int,
) -> int:
    """
    Take S out of the anchor's component, and restore the invariant for the rest.

    S is the LISTED nodes of the side that ran dry.
    """
    label = state[LABEL, anchor]
    for position in range(counters[LISTED]):
        state[LOCAL, state[QUEUE + side, position]] = position
    redirect_pairs(state[LOCAL], counters, lists, anchor)
    if stand_in(nodes, pool, confidence, floor, state, counters, lists, side, anchor) == OVER:
        return OVER
    bound = bound_beyond(nodes, pool, confidence, floor, state, order, counters, side, label)
    low, high = (order[label], bound) if side == FORWARD else (bound, order[label])
    return int(regroup(nodes, pool, confidence, floor, state, order, counters, lists, label, side, low, high))


@kernel(f"int64({GRAPH}, {KEPT}, int64)", nogil=False)
def search_whole(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    label: int,
) -> int:
    """Find the parts of a whole component; its pending pairs are dropped."""
    counters[LISTED] = state[SIZE, label]
    counters[WORK] -= state[SIZE, label]
    if counters[WORK] < state[EDGES, label]:
        return OVER
    node = state[HEAD, label]
    for position in range(counters[LISTED]):
        state[QUEUE + FORWARD, position] = node
        state[LOCAL, node] = position
        node = state[NEXT, node]
    redirect_pairs(state[LOCAL], counters, lists, NO_NODE)
    bound = bound_beyond(nodes, pool, confidence, floor, state, order, counters, FORWARD, label)
    return int(
        regroup(
            nodes,
            pool,
            confidence,
            floor,
            state,
            order,
            counters,
            lists,
            label,
            FORWARD,
            order[label],
            bound,
        )
    )
