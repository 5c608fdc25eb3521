"""
What lost edges do to a component: whether it still is one, and what it falls into where not.

A component C that lost edges is tracked by *pending* pairs (x, y) of its nodes. Invariant: C would be strongly connected if each
pending pair were an edge. At first they are the lost edges. Where x still reaches y inside C, the pair is dropped. Where not,
one of the two searches, forward from x or backward from y, has run dry: its nodes S are closed under successors
(predecessors) inside C, so every component that shares a node with S lies within S. S is taken out of C, its parts found by a
local search, and the invariant restored for the rest: a way through S enters it from some a and leaves it to some b, and the
pairs (a, anchor) and (anchor, b) stand in for it, the anchor being that end of the pair that is not in S. C is
strongly connected when no pair is left.

The two searches take turns by the edges they have looked at, so both together cost about twice the cheaper one.

Orders: the parts of S get orders between C's own and that of the nearest neighbour of S outside C, so that callers still come
before what they call. Edges that have just been added and were not looked at yet may contradict the order: neighbours on
the wrong side are such, and bound nothing.
"""

from typing import Any

import numpy as np

from graphcore.compiled import kernel
from graphcore.kernels.components_full import gather_calls, measure_groups, strong_components
from graphcore.kernels.components_layout import (
    BACKWARD,
    CHAINED,
    DONE,
    EDGES,
    ENDS,
    FORWARD,
    FREE,
    FREE_COUNT,
    GRAPH,
    HEAD,
    HEIGHT,
    INSIDE,
    KEPT,
    LABEL,
    LISTED,
    LOCAL,
    LOCAL_START,
    LOCAL_TARGET,
    LOCAL_WORK,
    MARK,
    MOVED,
    MOVED_FROM,
    MOVED_NODE,
    NEXT,
    OVER,
    PENDING,
    PENDING_SOURCE,
    PENDING_TARGET,
    PREVIOUS,
    QUEUE,
    SEQUENCE,
    SIDE_COLUMNS,
    SIZE,
    SPENT,
    STAMP,
    TAIL,
    TAKEN,
    WORK,
)
from graphcore.kernels.layout import EDGE, FRESH, NEIGHBOUR, OUT, START

REACHES, GAVE_UP, RAN_DRY = 0, 1, 2
"""What ``still_reaches`` says: yes; unknown, for it takes too much work; or no: RAN_DRY + the side that ran dry."""

NARROW = 32
"""
The share of the room between two orders that split-off parts take. A double holds some 1,000 parts split off one after the other, or nine splits of
what was split off; the narrower, the more of the former and the fewer of the latter.
"""

NOBODY = -1


@kernel(f"int64({GRAPH}, int32[:, ::1], int64[::1], int64, int64)", nogil=False)
def still_reaches(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    counters: Any,
    source: int,
    target: int,
) -> int:
    """Tell whether source reaches target inside their component; if not, the queue of the side that ran dry has LISTED nodes."""
    neighbour, label_of, mark, label = pool[NEIGHBOUR], state[LABEL], state[MARK], state[LABEL, source]
    counters[STAMP] += 2
    stamp = counters[STAMP]
    for side in (FORWARD, BACKWARD):
        start = source if side == FORWARD else target
        state[QUEUE + side, 0] = start
        mark[start] = stamp - side
        counters[TAIL + side], counters[TAKEN + side], counters[SPENT + side] = 1, 0, 0
    side = FORWARD
    while counters[TAKEN + side] < counters[TAIL + side]:
        forward = state[QUEUE + FORWARD, counters[TAKEN + FORWARD]]
        backward = state[QUEUE + BACKWARD, counters[TAKEN + BACKWARD]]
        forward_cost = counters[SPENT + FORWARD] + nodes[forward, FRESH]
        backward_cost = counters[SPENT + BACKWARD] + nodes[backward, SIDE_COLUMNS + FRESH]
        side, node = (FORWARD, forward) if forward_cost <= backward_cost else (BACKWARD, backward)
        begin = nodes[node, SIDE_COLUMNS * side + START]
        end = begin + nodes[node, SIDE_COLUMNS * side + FRESH]
        counters[TAKEN + side] += 1
        counters[SPENT + side] += 1 + end - begin
        counters[WORK] -= 1 + end - begin
        if counters[WORK] < 0:
            return GAVE_UP
        own, opposite, tail = stamp - side, stamp - 1 + side, counters[TAIL + side]
        for slot in range(begin, end):
            other = neighbour[slot]
            if label_of[other] != label or mark[other] == own:
                continue
            if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                continue
            if mark[other] == opposite:
                return REACHES
            mark[other] = own
            state[QUEUE + side, tail] = other
            tail += 1
        counters[TAIL + side] = tail
    counters[LISTED] = counters[TAIL + side]
    return RAN_DRY + side


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
    """Let pending pairs with one end in S (where ``local`` is not negative) end at the anchor instead; drop those in S, or without an anchor."""
    kept = 0
    for column in range(counters[PENDING]):
        source, target = lists[PENDING_SOURCE, column], lists[PENDING_TARGET, column]
        if local[source] >= 0:
            source = anchor
        if local[target] >= 0:
            target = anchor
        if source != target and min(source, target) != NOBODY:
            lists[PENDING_SOURCE, kept] = source
            lists[PENDING_TARGET, kept] = target
            kept += 1
    counters[WORK] -= counters[PENDING]
    counters[PENDING] = kept


@kernel("float64(float64, float64, int64, int64, int64)", nogil=False)
def part_order(low: float, high: float, side: int, height: int, greatest: int) -> float:
    """
    Place a part by its height (0 to ``greatest``) in the open interval between two orders, higher parts lower.

    Parts are put near the bound that is not the order of what they were split off from, as the next ones will come between.
    """
    if high == np.inf:
        return low + (greatest - height + 1)
    if low == -np.inf:
        return high - (height + 1)
    step = (high - low) / max(greatest + 2, NARROW)
    return high - step * (height + 1) if side == FORWARD else low + step * (greatest - height + 1)


@kernel("boolean(float64, float64, int64, int64)", nogil=False)
def orders_fit(low: float, high: float, side: int, greatest: int) -> bool:
    """Tell whether there is an order for each height in the open interval, all different."""
    above = high
    for height in range(greatest + 1):
        place = part_order(low, high, side, height, greatest)
        if not low < place < above:
            return False
        above = place
    return True


@kernel("int64(int32[:, ::1], int64[::1], int32[:, ::1], int32[::1], int64)", nogil=False)
def move_out(state: Any, counters: Any, lists: Any, leaving: Any, former: int) -> int:
    """Make nodes a component of their own that were members of one that has others; returns its label."""
    counters[FREE_COUNT] -= 1
    label = state[FREE, counters[FREE_COUNT]]
    for position in range(len(leaving)):
        node = leaving[position]
        before, after = state[PREVIOUS, node], state[NEXT, node]
        state[NEXT, before] = after
        state[PREVIOUS, after] = before
        if state[HEAD, former] == node:
            state[HEAD, former] = after
        lists[MOVED_NODE, counters[MOVED]] = node
        lists[MOVED_FROM, counters[MOVED]] = former
        counters[MOVED] += 1
    previous = leaving[len(leaving) - 1]
    for position in range(len(leaving)):
        node = leaving[position]
        state[LABEL, node] = label
        state[PREVIOUS, node] = previous
        state[NEXT, previous] = node
        previous = node
    state[HEAD, label] = previous
    state[SIZE, label] = len(leaving)
    state[SIZE, former] -= len(leaving)
    return int(label)


@kernel(f"int64({GRAPH}, {KEPT}, int64, int64, float64, float64)", nogil=False)
def regroup(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    label: int,
    side: int,
    low: float,
    high: float,
) -> int:
    """
    Find the parts of the LISTED nodes of a queue, all members of one component and numbered by LOCAL, and place them between two orders.

    If they are the whole component, the largest part keeps its label. LOCAL is -1 everywhere afterwards.
    """
    count, calls = counters[LISTED], 0
    chosen = state[QUEUE + side][:count]
    for position in range(count):
        calls += nodes[chosen[position], OUT + FRESH]
    counters[WORK] -= 2 * (calls + count)
    if counters[WORK] < 0 or max(counters[MOVED] + count, calls, count + 1) > lists.shape[1]:
        return OVER
    start, target, work = lists[LOCAL_START], lists[LOCAL_TARGET], lists[LOCAL_WORK:]
    gather_calls(nodes, pool, confidence, floor, chosen, state[LOCAL], start, target)
    found = strong_components(start, target, work, count)
    greatest = measure_groups(start, target, work, found)
    if not orders_fit(low, high, side, greatest):
        return OVER
    sequence, ends = work[SEQUENCE], work[ENDS]
    for position in range(count):
        sequence[position] = chosen[sequence[position]]
        state[LOCAL, sequence[position]] = -1
    staying, most, begin = NOBODY, 0, 0
    if state[SIZE, label] == count:
        for number in range(found):
            if ends[number] - begin > most:
                staying, most = number, ends[number] - begin
            begin = ends[number]
    begin = 0
    for number in range(found):
        part = label
        if number != staying:
            part = move_out(state, counters, lists, sequence[begin : ends[number]], label)
        state[EDGES, part] = work[INSIDE, number]
        order[part] = part_order(low, high, side, work[HEIGHT, number], greatest)
        begin = ends[number]
    return DONE


@kernel(f"float64({GRAPH}, int32[:, ::1], float64[::1], int64[::1], int64, int64)", nogil=False)
def bound_beyond(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    side: int,
    label: int,
) -> float:
    """Return the order nearest to a component's own that its LISTED nodes lead to on this side, infinite if they lead nowhere outside it."""
    nearest = np.inf if side == FORWARD else -np.inf
    for position in range(counters[LISTED]):
        node = state[QUEUE + side, position]
        begin = nodes[node, SIDE_COLUMNS * side + START]
        end = begin + nodes[node, SIDE_COLUMNS * side + FRESH]
        counters[WORK] -= end - begin
        for slot in range(begin, end):
            other = state[LABEL, pool[NEIGHBOUR, slot]]
            if other == label or (floor > 0.0 and confidence[pool[EDGE, slot]] < floor):
                continue
            if side == FORWARD and order[label] < order[other]:
                nearest = min(nearest, order[other])
            elif side == BACKWARD and order[other] < order[label]:
                nearest = max(nearest, order[other])
    return nearest


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
    """Let pairs with the anchor stand in for the edges between S, the LISTED nodes of a side, and the rest; S's edges are its own from now on."""
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
    """Take S, the LISTED nodes of the side that ran dry, out of the anchor's component, and restore the invariant for the rest."""
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
    redirect_pairs(state[LOCAL], counters, lists, NOBODY)
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
