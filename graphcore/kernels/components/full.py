"""
All strongly connected components of a graph, or of some of its nodes.

The edges that count are first copied into compressed rows: the targets of the node with number
``n`` are ``target[start[n] : start[n + 1]]``. The search over such a copy may continue while the
graph changes.

Source: R. Tarjan, "Depth-first search and linear graph algorithms", 1972; with one array for ranks
and low-links, as in D. Pearce, "A space-efficient algorithm for finding strongly connected
components", 2016. O(V + E), no recursion.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, OUT, START
from graphcore.kernels.components import (
    CURSOR,
    EDGES,
    ENDS,
    ENTERED,
    FREE,
    GROUP,
    HEAD,
    HEIGHT,
    INSIDE,
    LABEL,
    NEXT,
    PATH,
    PREVIOUS,
    SEQUENCE,
    SIZE,
)


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], float64, int32[::1], int32[::1], int32[::1], "
    "int32[::1])"
)
def gather_calls(
    nodes: Any, pool: Any, confidence: Any, floor: float, chosen: Any, local: Any, start: Any, target: Any
) -> int:
    """
    Copy the edges that count and lie between chosen nodes into compressed rows, by local numbers.

    ``local[node]`` is a node's position in ``chosen``, or negative for one that is not chosen.
    Returns the number of edges.
    """
    neighbour = pool[NEIGHBOUR]
    count = 0
    for number in range(len(chosen)):
        node = chosen[number]
        start[number] = count
        begin = nodes[node, OUT + START]
        for slot in range(begin, begin + nodes[node, OUT + FRESH]):
            other = local[neighbour[slot]]
            if other < 0 or (floor > 0.0 and confidence[pool[EDGE, slot]] < floor):
                continue
            target[count] = other
            count += 1
    start[len(chosen)] = count
    return count


@kernel("int64(int32[::1], int32[::1], int32[:, ::1], int64)")
def strong_components(start: Any, target: Any, work: Any, count: int) -> int:  # noqa: C901 - a search with its own stack
    """
    Find the components of the nodes 0 to ``count`` - 1: SEQUENCE, ENDS, GROUP.

    Returns how many there are.

    ``rank`` counts nodes as they are entered. While a node is on the path or waits for its
    component, its rank becomes the smallest one it is known to lead to; once its component is
    complete, its rank is larger than that of any open node, and lowers no other. The path grows
    from the front of its row, and the waiting nodes from the end: no node is in both.
    """
    sequence, ends, rank = work[SEQUENCE], work[ENDS], work[GROUP]
    path, cursor, entered = work[PATH], work[CURSOR], work[ENTERED]
    complete = count + 1
    found = written = ranks = 0
    waiting = count
    for node in range(count):
        rank[node] = 0
    for root in range(count):
        if rank[root] != 0:
            continue
        ranks += 1
        depth = 0
        path[0], cursor[0], entered[0], rank[root] = root, start[root], ranks, ranks
        while depth >= 0:
            node, position = path[depth], cursor[depth]
            end, lowest, below = start[node + 1], rank[node], -1
            while position < end and below < 0:
                other = target[position]
                position += 1
                if rank[other] == 0:
                    below = other
                elif rank[other] < lowest:
                    lowest = rank[other]
            rank[node] = lowest
            if below >= 0:
                cursor[depth] = position
                ranks += 1
                depth += 1
                path[depth], cursor[depth], entered[depth], rank[below] = below, start[below], ranks, ranks
                continue
            depth -= 1
            waiting -= 1
            path[waiting] = node
            if lowest == entered[depth + 1]:
                while waiting < count and rank[path[waiting]] >= lowest:
                    sequence[written] = path[waiting]
                    rank[path[waiting]] = complete + found
                    written += 1
                    waiting += 1
                ends[found] = written
                found += 1
            elif lowest < rank[path[depth]]:
                rank[path[depth]] = lowest
    for node in range(count):
        rank[node] -= complete
    return found


@kernel("int64(int32[::1], int32[::1], int32[:, ::1], int64)")
def measure_groups(start: Any, target: Any, work: Any, found: int) -> int:
    """
    Count the edges INSIDE each component and find its HEIGHT.

    The height is one more than that of the highest component it calls, 0 if it calls none.

    Returns the greatest height.
    """
    sequence, ends, group, height = work[SEQUENCE], work[ENDS], work[GROUP], work[HEIGHT]
    greatest = begin = 0
    for number in range(found):
        within = above = 0
        for position in range(begin, ends[number]):
            node = sequence[position]
            for slot in range(start[node], start[node + 1]):
                other = group[target[slot]]
                if other == number:
                    within += 1
                elif height[other] >= above:
                    above = height[other] + 1
        work[INSIDE, number] = within
        height[number] = above
        greatest = max(greatest, above)
        begin = ends[number]
    return greatest


@kernel("int64(int32[::1], int32[::1], int32[:, ::1], int32[::1], int32[:, ::1], float64[::1])")
def find_components(start: Any, target: Any, work: Any, chosen: Any, state: Any, order: Any) -> int:
    """
    Fill the state of the kept components from compressed rows.

    ``chosen`` are the nodes, in the order of their numbers in these rows.

    Returns the number of components. They have the first labels. All others are free; the lowest
    is used first.
    """
    found = strong_components(start, target, work, len(chosen))
    measure_groups(start, target, work, found)
    sequence = work[SEQUENCE]
    begin = 0
    for label in range(found):
        end = work[ENDS, label]
        previous = chosen[sequence[end - 1]]
        for position in range(begin, end):
            node = chosen[sequence[position]]
            state[LABEL, node] = label
            state[PREVIOUS, node] = previous
            state[NEXT, previous] = node
            previous = node
        state[HEAD, label] = previous
        state[SIZE, label] = end - begin
        state[EDGES, label] = work[INSIDE, label]
        # Callers are higher than what they call, and come before it.
        order[label] = -float(work[HEIGHT, label])
        begin = end
    capacity = state.shape[1]
    for label in range(found, capacity):
        state[FREE, capacity - 1 - label] = label
    return int(found)
