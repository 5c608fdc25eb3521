"""
Shortest cycles of a part of the graph.

The part is given as rows of calls and of callers (see ``calls``).

Numbers are the order in which nodes are preferred. Each node in turn is the *root*: the shortest
cycle is sought in which it is the smallest. Then it is taken out, and so is whatever has no calls
or no callers left and therefore lies on no cycle. So a ring is gone after its first node, and a
component in which two nodes call each other is done as soon as the first such pair is found.

What is looked at never depends on the order of edges: searches end with a whole level of nodes, and
of several ways the one of the smallest numbers is taken. The budget is spent by whole searches, so
that running out of it gives the same answer for the same graph too.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FRESH, IN, NEIGHBOUR, OUT, START

SEEN, HOPS, CALLED, QUEUE, CALLS_LEFT, CALLERS_LEFT, GONE = 0, 1, 2, 3, 4, 5, 6
WORK_ROWS = 7
"""
Rows of ``work``, a column a node.

SEEN and CALLED hold the root that found the node, or calls it; HOPS: how many calls lead from a
node that was seen to the root; CALLS_LEFT and CALLERS_LEFT count what is not GONE.
"""

SHORTEST = 2
"""A service does not call itself."""


@kernel("int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[:, ::1], int64)")
def peel(start: Any, target: Any, back_start: Any, caller: Any, work: Any, tail: int) -> int:
    """
    Take the first ``tail`` nodes of the queue out, and whatever is on no cycle then.

    They are marked GONE. Returns the edges looked at.
    """
    queue, calls_left, callers_left, gone = work[QUEUE], work[CALLS_LEFT], work[CALLERS_LEFT], work[GONE]
    head = visits = 0
    while head < tail:
        node = queue[head]
        head += 1
        visits += start[node + 1] - start[node] + back_start[node + 1] - back_start[node]
        for place in range(start[node], start[node + 1]):
            other = target[place]
            callers_left[other] -= 1
            if callers_left[other] == 0 and gone[other] == 0:
                gone[other] = 1
                queue[tail] = other
                tail += 1
        for place in range(back_start[node], back_start[node + 1]):
            other = caller[place]
            calls_left[other] -= 1
            if calls_left[other] == 0 and gone[other] == 0:
                gone[other] = 1
                queue[tail] = other
                tail += 1
    return visits


@kernel("int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[:, ::1], int64, int64, int64[::1])")
def search_back(
    start: Any, target: Any, back_start: Any, caller: Any, work: Any, root: int, longest: int, spent: Any
) -> int:
    """
    Look for the shortest cycle through the root, of at most ``longest`` nodes.

    Returns its length, 0 = there is none.

    Breadth-first along callers, a whole level at a time; it is closed by a node that the root
    calls. Adds the edges looked at to ``spent[0]``.
    """
    seen, hops, called, queue, gone = work[SEEN], work[HOPS], work[CALLED], work[QUEUE], work[GONE]
    for place in range(start[root], start[root + 1]):
        called[target[place]] = root
    visits = start[root + 1] - start[root]
    seen[root], hops[root], queue[0] = root, 0, root
    head, tail, depth, length = 0, 1, 0, 0
    while head < tail and depth < longest - 1 and length == 0:
        depth += 1
        end = tail
        while head < end:
            node = queue[head]
            head += 1
            visits += back_start[node + 1] - back_start[node]
            for place in range(back_start[node], back_start[node + 1]):
                other = caller[place]
                if gone[other] != 0 or seen[other] == root:
                    continue
                seen[other], hops[other], queue[tail] = root, depth, other
                tail += 1
                if called[other] == root:
                    length = depth + 1
    spent[0] += visits
    return length


@kernel("void(int32[::1], int32[::1], int32[:, ::1], int64, int64, int32[::1])")
def follow(start: Any, target: Any, work: Any, root: int, length: int, cycle: Any) -> None:
    """
    Write the cycle of this length that ``search_back`` found.

    Of all that begin at the root, it is the one with the smallest numbers.
    """
    seen, hops = work[SEEN], work[HOPS]
    cycle[0] = root
    node = root
    for position in range(1, length):
        nearest = len(seen)
        for place in range(start[node], start[node + 1]):
            other = target[place]
            if seen[other] == root and hops[other] == length - position:
                nearest = min(nearest, other)
        cycle[position] = nearest
        node = nearest


@kernel("int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[:, ::1], int32[::1], int64, int64)")
def find_shortest_cycle(
    start: Any, target: Any, back_start: Any, caller: Any, work: Any, cycle: Any, longest: int, budget: int
) -> int:
    """
    Find a shortest cycle of at most ``longest`` nodes; returns its length, 0 = there is none.

    ``cycle`` holds it, from its smallest number on.

    Of several the one whose numbers come first. O(V E) at worst. Once ``budget`` edges were looked
    at, the best one so far is it; where any length will do, the search goes on until there is one,
    which in a strongly connected component is the first search.
    """
    count = len(start) - 1
    any_length = longest >= count
    spent = np.zeros(1, np.int64)
    tail = length = 0
    for node in range(count):
        work[SEEN, node] = work[CALLED, node] = -1
        work[CALLS_LEFT, node] = start[node + 1] - start[node]
        work[CALLERS_LEFT, node] = back_start[node + 1] - back_start[node]
        work[GONE, node] = 0
        if work[CALLS_LEFT, node] == 0 or work[CALLERS_LEFT, node] == 0:
            work[GONE, node] = 1
            work[QUEUE, tail] = node
            tail += 1
    peel(start, target, back_start, caller, work, tail)
    for root in range(count):
        if longest < SHORTEST or (spent[0] > budget and (length > 0 or not any_length)):
            break
        if work[GONE, root] != 0:
            continue
        found = search_back(start, target, back_start, caller, work, root, longest, spent)
        if found > 0:
            length, longest = found, found - 1
            follow(start, target, work, root, found, cycle)
        work[GONE, root] = 1
        work[QUEUE, 0] = root
        spent[0] += peel(start, target, back_start, caller, work, 1)
    return length


@kernel("boolean(int32[:, ::1], int32[:, ::1], float64[::1], float64, int32[::1])")
def closes(nodes: Any, pool: Any, confidence: Any, floor: float, path: Any) -> bool:
    """
    Return whether each node of a path calls the next, and the last the first.

    An edge counts if it is not stale and has this much confidence.
    """
    for position in range(len(path)):
        node, goal = path[position - 1], path[position]
        side = OUT
        # Whichever of the two has fewer edges is looked at.
        if nodes[goal, IN + FRESH] < nodes[node, OUT + FRESH]:
            side, node, goal = IN, goal, node
        first = nodes[node, side + START]
        calls = False
        for slot in range(first, first + nodes[node, side + FRESH]):
            if pool[NEIGHBOUR, slot] == goal and (floor <= 0.0 or confidence[pool[EDGE, slot]] >= floor):
                calls = True
                break
        if not calls:
            return False
    return True
