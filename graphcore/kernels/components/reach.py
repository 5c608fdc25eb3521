"""
Whether a node still reaches another inside their component.

Two searches alternate, forward from the first node and backward from the second: the next step
belongs to the search that has looked at fewer edges. So both together cost about twice the cheaper
one. They meet, or one of them *runs dry*: it has no node left to visit.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, START
from graphcore.kernels.components import (
    BACKWARD,
    FORWARD,
    GRAPH,
    LABEL,
    LISTED,
    MARK,
    QUEUE,
    SIDE_COLUMNS,
    SPENT,
    STAMP,
    TAIL,
    TAKEN,
    WORK,
)

REACHES, GAVE_UP, RAN_DRY = 0, 1, 2
"""
What ``still_reaches`` returns: yes; unknown, because it takes too much work; no.

No is RAN_DRY + the side that ran dry.
"""


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
    """
    Whether source reaches target inside their component.

    If not, the queue of the side that ran dry has LISTED nodes.
    """
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
