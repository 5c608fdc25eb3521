"""
What an added edge changes: nothing if it leads forward in the order of components.

Otherwise this module corrects the order, and merges the components that now form a cycle.

Invariant: ``order`` rises along every edge that counts and joins two components, so components form
no cycle. Only added edges that were not processed yet may violate it. An added edge from component
U to component V satisfies it if ``order[U] < order[V]``: nothing is to be done.

If not, two searches over whole components alternate: forward from V, through orders up to that of
U, and backward from U, through orders down to that of V. Every path from V to U lies within both
limits, so either search can decide alone whether there is one; the search that first has nothing
left to visit decides. Suppose it is the forward search, and D is the set that it visited. The
components of D that reach U are merged with U and get U's order: what they call outside D has a
higher order, and what calls them has a lower one. The rest of D keeps its relative order and moves
between U's order and that of the nearest component above U that D calls. The backward case mirrors
this.

The searches also follow added edges that were not processed yet. So they may merge or move more
components, but never wrong ones: the components that are merged do form a cycle.

Source: search on both sides within a kept topological order, as in M. Bender, J. Fineman, S.
Gilbert, R. Tarjan, "A new approach to incremental cycle detection and related problems", 2016;
orders are real numbers here, so that no other component has to move.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, START
from graphcore.kernels.components import (
    BACKWARD,
    CHAIN,
    CHAINED,
    DONE,
    FORWARD,
    GOAL,
    GRAPH,
    HEAD,
    KEPT,
    LABEL,
    LINKED,
    MARK,
    MEMBER,
    NEAREST,
    NEXT,
    NO_LABEL,
    OVER,
    QUEUE,
    SIDE_COLUMNS,
    SPENT,
    STAMP,
    TAIL,
    TAKEN,
    WORK,
)
from graphcore.kernels.components.chain import close_chain, merge_chain
from graphcore.kernels.components.orders import move_between


@kernel(f"int64({GRAPH}, {KEPT}, int64)", nogil=False)
def settle(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    side: int,
) -> int:
    """
    Merge and move the components that the search which finished first has visited.

    Its CHAIN holds those with an edge to the goal.
    """
    queue, chain, in_chain = state[QUEUE + side], state[CHAIN + side], state[CHAINED]
    goal, linked, stamp = counters[GOAL + side], counters[LINKED + side], counters[STAMP]
    limit, beyond = order[goal], np.inf if side == FORWARD else -np.inf
    if counters[NEAREST + side] != NO_LABEL:
        beyond = order[counters[NEAREST + side]]
    if linked:
        for position in range(linked):
            in_chain[chain[position]] = stamp
        linked = close_chain(nodes, pool, confidence, floor, state, counters, side, linked)
        node = state[HEAD, goal]
        chain[linked] = goal
        in_chain[goal] = stamp
        merging = chain[: linked + 1]
        if merge_chain(nodes, pool, confidence, floor, state, counters, lists, merging) == OVER:
            return OVER
        order[state[LABEL, node]] = limit
    staying = 0
    for position in range(counters[TAIL + side]):
        if in_chain[queue[position]] != stamp:
            chain[staying] = queue[position]
            staying += 1
    low, high = (limit, beyond) if side == FORWARD else (beyond, limit)
    return int(move_between(chain[:staying], order, low, high))


@kernel(f"void({GRAPH}, int32[:, ::1], float64[::1], int64[::1], int64)", nogil=False)
def look_further(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    side: int,
) -> None:
    """
    Look at the edges of the next member on a side.

    Queues components within the limit. Notes the nearest one beyond it, and edges to the goal.
    """
    node, goal, nearest = counters[MEMBER + side], counters[GOAL + side], counters[NEAREST + side]
    chain, seen, stamp = state[CHAIN + side], state[MARK + side], counters[STAMP]
    current, limit, tail = state[LABEL, node], order[goal], counters[TAIL + side]
    begin = nodes[node, SIDE_COLUMNS * side + START]
    end = begin + nodes[node, SIDE_COLUMNS * side + FRESH]
    counters[SPENT + side] += 1 + end - begin
    counters[WORK] -= 1 + end - begin
    for slot in range(begin, end):
        label = state[LABEL, pool[NEIGHBOUR, slot]]
        if seen[label] == stamp or (floor > 0.0 and confidence[pool[EDGE, slot]] < floor):
            continue
        ahead = order[label] - limit if side == FORWARD else limit - order[label]
        if ahead > 0:
            if nearest == NO_LABEL or (order[label] < order[nearest]) == (side == FORWARD):
                nearest = label
        elif label != goal:
            seen[label] = stamp
            state[QUEUE + side, tail] = label
            tail += 1
        elif counters[LINKED + side] == 0 or chain[counters[LINKED + side] - 1] != current:
            chain[counters[LINKED + side]] = current
            counters[LINKED + side] += 1
    counters[NEAREST + side], counters[TAIL + side] = nearest, tail
    counters[MEMBER + side] = state[NEXT, node]
    if state[NEXT, node] == state[HEAD, current]:
        counters[TAKEN + side] += 1
        if counters[TAKEN + side] < tail:
            counters[MEMBER + side] = state[HEAD, state[QUEUE + side, counters[TAKEN + side]]]


@kernel(f"int64({GRAPH}, {KEPT}, int64, int64)", nogil=False)
def join(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    source: int,
    target: int,
) -> int:
    """Process an edge that was added between two nodes."""
    caller, callee = state[LABEL, source], state[LABEL, target]
    if caller == callee or order[caller] < order[callee]:
        return DONE
    counters[STAMP] += 1
    for side in (FORWARD, BACKWARD):
        first, goal = (callee, caller) if side == FORWARD else (caller, callee)
        state[QUEUE + side, 0] = first
        state[MARK + side, first] = counters[STAMP]
        counters[TAIL + side], counters[TAKEN + side], counters[SPENT + side] = 1, 0, 0
        counters[MEMBER + side], counters[GOAL + side] = state[HEAD, first], goal
        counters[NEAREST + side], counters[LINKED + side] = NO_LABEL, 0
    side = FORWARD
    while counters[TAKEN + side] < counters[TAIL + side]:
        forward_cost = counters[SPENT + FORWARD] + nodes[counters[MEMBER + FORWARD], FRESH]
        backward_cost = counters[SPENT + BACKWARD] + nodes[counters[MEMBER + BACKWARD], SIDE_COLUMNS + FRESH]
        side = FORWARD if forward_cost <= backward_cost else BACKWARD
        look_further(nodes, pool, confidence, floor, state, order, counters, side)
        if counters[WORK] < 0:
            return OVER
    return int(settle(nodes, pool, confidence, floor, state, order, counters, lists, side))
