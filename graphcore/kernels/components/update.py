"""
Components after a change set.

The graph has already lost and gained all edges when this begins. First, components that lost edges
are split, by the edges that they have now, gained ones included: afterwards, the members of each
component reach each other. Then each gained edge between two components is processed. A cycle
through several old components contains such edges, and is found at the last of them.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.components import (
    DONE,
    EDGES,
    FORWARD,
    GRAPH,
    KEPT,
    LABEL,
    OVER,
    PENDING,
    PENDING_SOURCE,
    PENDING_TARGET,
    SIZE,
    WORK,
)
from graphcore.kernels.components.merge import join
from graphcore.kernels.components.reach import GAVE_UP, RAN_DRY, REACHES, still_reaches
from graphcore.kernels.components.split import push_pair, search_whole, take_out


@kernel(f"int64({GRAPH}, {KEPT})", nogil=False)
def split_where_lost(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
) -> int:
    """
    Process all pending pairs.

    A component whose pairs have cost as much work as its size is searched as a whole.
    """
    examined, work = -1, counters[WORK]
    while counters[PENDING] > 0:
        counters[PENDING] -= 1
        source = lists[PENDING_SOURCE, counters[PENDING]]
        target = lists[PENDING_TARGET, counters[PENDING]]
        label = state[LABEL, source]
        if label != state[LABEL, target]:
            continue
        if label != examined:
            examined, work = label, counters[WORK]
        if work - counters[WORK] > state[SIZE, label] + state[EDGES, label]:
            examined = -1
            if search_whole(nodes, pool, confidence, floor, state, order, counters, lists, label) == OVER:
                return OVER
            continue
        answer = still_reaches(nodes, pool, confidence, floor, state, counters, source, target)
        if answer == GAVE_UP:
            return OVER
        if answer != REACHES:
            side = answer - RAN_DRY
            anchor = target if side == FORWARD else source
            if take_out(nodes, pool, confidence, floor, state, order, counters, lists, side, anchor) == OVER:
                return OVER
    return DONE


@kernel(f"int64({GRAPH}, {KEPT}, int32[:, ::1], int32[:, ::1])", nogil=False)
def update_components(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    order: Any,
    counters: Any,
    lists: Any,
    lost: Any,
    gained: Any,
) -> int:
    """
    Update labels, sizes, edge counts and orders after edges were lost and gained.

    ``lost`` and ``gained`` have the rows source and target, and a column for each edge, parallel
    ones included. No pair may be in both. Returns DONE, or OVER if WORK or ``lists`` is used up;
    then the state is invalid.
    """
    label_of = state[LABEL]
    for column in range(lost.shape[1]):
        source, target = lost[0, column], lost[1, column]
        if label_of[source] == label_of[target]:
            state[EDGES, label_of[source]] -= 1
            if push_pair(counters, lists, source, target) == OVER:
                return OVER
    for column in range(gained.shape[1]):
        if label_of[gained[0, column]] == label_of[gained[1, column]]:
            state[EDGES, label_of[gained[0, column]]] += 1
    if split_where_lost(nodes, pool, confidence, floor, state, order, counters, lists) == OVER:
        return OVER
    for column in range(gained.shape[1]):
        if (
            join(
                nodes,
                pool,
                confidence,
                floor,
                state,
                order,
                counters,
                lists,
                gained[0, column],
                gained[1, column],
            )
            == OVER
        ):
            return OVER
    return DONE
