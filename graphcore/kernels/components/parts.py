"""
The parts of a set of nodes that lost its edges to, or from, the rest of its component.

They become components of their own, and get their orders here.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, OUT, START
from graphcore.kernels.components import (
    BACKWARD,
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
    MOVED,
    MOVED_FROM,
    MOVED_NODE,
    NEXT,
    NO_NODE,
    OVER,
    PREVIOUS,
    QUEUE,
    SEQUENCE,
    SIDE_COLUMNS,
    SIZE,
    WORK,
)
from graphcore.kernels.components.full import gather_calls, measure_groups, strong_components
from graphcore.kernels.components.orders import orders_fit, part_order


@kernel("int64(int32[:, ::1], int64[::1], int32[:, ::1], int32[::1], int64)", nogil=False)
def move_out(state: Any, counters: Any, lists: Any, leaving: Any, former: int) -> int:
    """
    Move some members of a component into a component of their own.

    Returns its label.
    """
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
    Find the parts of the LISTED nodes of a queue, and place them between two orders.

    The nodes are members of one component, numbered by LOCAL.

    If they are the whole component, the largest part keeps the label. Afterwards LOCAL is -1
    everywhere.
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
    staying, most, begin = NO_NODE, 0, 0
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
    """
    Return the nearest order beyond a component's own to which its LISTED nodes lead on this side.

    Infinite if they do not lead out of the component.
    """
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
