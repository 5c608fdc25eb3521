"""
Kernels that search for callers over the edges that a mask lets count.

See ``graphcore.analysis.edge_selection``.

They use nothing but arrays of their caller, so that several may run at a time. ``hops[node]`` is
the number of calls from a node to the start, NOT_FOUND for one that does not reach it; ``queue``
holds the nodes found, in the order of their hops, the start first.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, IN, NEIGHBOUR, OUT, START

NOT_FOUND = -1


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], int64, int64, int64, int64, int32[::1], int32[::1])")
def search_callers(
    nodes: Any,
    pool: Any,
    mask: Any,
    wanted: int,
    start: int,
    until: int,
    max_hops: int,
    hops: Any,
    queue: Any,
) -> int:
    """
    Search breadth-first from ``start`` to its callers, and theirs.

    Returns how many nodes there are in the queue.

    ``hops`` must be NOT_FOUND everywhere. ``wanted`` are bits of which an edge must have one in the
    mask: COUNTS_BIT, or words. The search ends once all nodes are found that are as near as the
    node ``until`` (negative = none). O(V + E).
    """
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    hops[start] = 0
    queue[0] = start
    head, tail, depth = 0, 1, 0
    while head < tail and depth < max_hops:
        if until >= 0 and hops[until] != NOT_FOUND:
            break
        depth += 1
        end = tail
        for place in range(head, end):
            node = queue[place]
            first = nodes[node, IN + START]
            for slot in range(first, first + nodes[node, IN + COUNT]):
                caller = neighbours[slot]
                if hops[caller] != NOT_FOUND or mask[edges[slot]] & wanted == 0:
                    continue
                hops[caller] = depth
                queue[tail] = caller
                tail += 1
        head = end
    return tail


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], int32[::1], int32[::1], int32[::1], int32[::1])")
def choose_steps(nodes: Any, pool: Any, mask: Any, hops: Any, ordered: Any, place: Any, steps: Any) -> int:
    """
    Choose for each node the callee that comes next on its path to the start.

    Of those one hop nearer, the one with the lowest place.

    ``ordered`` are the nodes found but the start, ``place[node]`` their positions in it and -1 for
    the start; ``steps`` gets the places chosen, in the order of ``ordered``. Returns how many edges
    were looked at. O(their edges).
    """
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    seen = 0
    for position in range(len(ordered)):
        node = ordered[position]
        nearer = hops[node] - 1
        lowest = len(ordered)
        first = nodes[node, OUT + START]
        last = first + nodes[node, OUT + COUNT]
        seen += last - first
        for slot in range(first, last):
            callee = neighbours[slot]
            if hops[callee] == nearer and place[callee] < lowest and mask[edges[slot]] != 0:
                lowest = place[callee]
        steps[position] = lowest
    return seen
