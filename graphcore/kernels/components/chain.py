"""
Merging components that form cycles.

The *chain* is the list of their labels; all of them are marked in CHAINED.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, START
from graphcore.kernels.components import (
    BACKWARD,
    CHAIN,
    CHAINED,
    DONE,
    EDGES,
    FORWARD,
    FREE,
    FREE_COUNT,
    GRAPH,
    HEAD,
    LABEL,
    MARK,
    MOVED,
    MOVED_FROM,
    MOVED_NODE,
    NEXT,
    OVER,
    PREVIOUS,
    SIDE_COLUMNS,
    SIZE,
    STAMP,
    WORK,
)


@kernel(f"int64({GRAPH}, int32[:, ::1], int64[::1], int64, int64)", nogil=False)
def count_between(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    counters: Any,
    label: int,
    largest: int,
) -> int:
    """Count edges from a component to others of the chain, and from the largest of them to it."""
    between, node = 0, state[HEAD, label]
    for _ in range(state[SIZE, label]):
        for way in (FORWARD, BACKWARD):
            begin = nodes[node, SIDE_COLUMNS * way + START]
            end = begin + nodes[node, SIDE_COLUMNS * way + FRESH]
            counters[WORK] -= 1 + end - begin
            for slot in range(begin, end):
                other = state[LABEL, pool[NEIGHBOUR, slot]]
                if other == label or (way == BACKWARD and other != largest):
                    continue
                if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                    continue
                if state[CHAINED, other] == counters[STAMP]:
                    between += 1
        node = state[NEXT, node]
    return between


@kernel("void(int32[:, ::1], int64[::1], int32[:, ::1], int64, int64)", nogil=False)
def relabel(state: Any, counters: Any, lists: Any, label: int, largest: int) -> None:
    """Make all members of a component members of a larger one."""
    node = state[HEAD, label]
    for _ in range(state[SIZE, label]):
        state[LABEL, node] = largest
        lists[MOVED_NODE, counters[MOVED]] = node
        lists[MOVED_FROM, counters[MOVED]] = label
        counters[MOVED] += 1
        node = state[NEXT, node]
    here, there = state[HEAD, label], state[HEAD, largest]
    after_here, after_there = state[NEXT, here], state[NEXT, there]
    state[NEXT, here], state[NEXT, there] = after_there, after_here
    state[PREVIOUS, after_there], state[PREVIOUS, after_here] = here, there
    state[SIZE, largest] += state[SIZE, label]
    state[SIZE, label] = 0
    state[FREE, counters[FREE_COUNT]] = label
    counters[FREE_COUNT] += 1


@kernel(f"int64({GRAPH}, int32[:, ::1], int64[::1], int64, int64)", nogil=False)
def close_chain(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    counters: Any,
    side: int,
    linked: int,
) -> int:
    """
    Add to a CHAIN of ``linked`` labels what its side's search saw and what leads to the chain.

    Returns the new length.
    """
    chain, seen, in_chain, stamp = state[CHAIN + side], state[MARK + side], state[CHAINED], counters[STAMP]
    opposite = SIDE_COLUMNS * (1 - side)
    position = 0
    while position < linked and counters[WORK] >= 0:
        node = state[HEAD, chain[position]]
        for _ in range(state[SIZE, chain[position]]):
            begin = nodes[node, opposite + START]
            end = begin + nodes[node, opposite + FRESH]
            counters[WORK] -= 1 + end - begin
            for slot in range(begin, end):
                other = state[LABEL, pool[NEIGHBOUR, slot]]
                if seen[other] != stamp or in_chain[other] == stamp:
                    continue
                if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                    continue
                in_chain[other] = stamp
                chain[linked] = other
                linked += 1
            node = state[NEXT, node]
        position += 1
    return linked


@kernel(f"int64({GRAPH}, int32[:, ::1], int64[::1], int32[:, ::1], int32[::1])", nogil=False)
def merge_chain(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    state: Any,
    counters: Any,
    lists: Any,
    chain: Any,
) -> int:
    """
    Merge the components of a chain into the largest of them.

    O(members of the others and their edges).
    """
    largest, total, edges = chain[0], 0, 0
    for position in range(len(chain)):
        total += state[SIZE, chain[position]]
        edges += state[EDGES, chain[position]]
        if state[SIZE, chain[position]] > state[SIZE, largest]:
            largest = chain[position]
    moving = total - state[SIZE, largest]
    counters[WORK] -= moving
    if counters[WORK] < 0 or counters[MOVED] + moving > lists.shape[1]:
        return OVER
    for position in range(len(chain)):
        if chain[position] != largest:
            edges += count_between(nodes, pool, confidence, floor, state, counters, chain[position], largest)
    for position in range(len(chain)):
        if chain[position] != largest:
            relabel(state, counters, lists, chain[position], largest)
    state[EDGES, largest] = edges
    return DONE
