"""
Kernels that look for paths to a target over the edges that a mask lets count.

See ``graphcore.analysis.edge_selection``.

``bound[node]`` is the number of calls from a node to the target (``upstream.search_callers``): no
path from there is shorter, and a node without one leads nowhere. ``state`` has a column for every
node and these rows; in those with stamps the number of the present search means yes:

- ``MARK``: the node was found by this search, or lies on what is given of the path; ``HOP``: how
  many calls from the spur it was found, or GIVEN; for ``find_deviations`` its position on the path.
- ``CLOSED``: the path must not go on here from the spur.
- ``ON``: the node lies on a shortest path from the spur to the target.
- ``QUEUE``: nodes in the order in which they were found.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, IN, NEIGHBOUR, OUT, START
from graphcore.kernels.upstream import NOT_FOUND

MARK, HOP, CLOSED, ON, QUEUE = 0, 1, 2, 3, 4
STATE_ROWS = 5
GIVEN = -1

EFFORT, BEYOND = 0, 1
"""
The ledger of a search: how many edges were looked at, and how long a path may be for which the
limit was too low (0 = there is none).
"""
LEDGER = 2


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], int32[:, ::1], int64, int64, int64)")
def mark_shortest(nodes: Any, pool: Any, mask: Any, state: Any, target: int, depth: int, tick: int) -> int:
    """
    Mark what lies on a shortest path from the spur to the target, ``depth`` hops away.

    Returns how many edges were looked at.
    """
    mark, hop, on, queue = state[MARK], state[HOP], state[ON], state[QUEUE]
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    on[target] = tick
    queue[0] = target
    head, tail, seen = 0, 1, 0
    for nearer in range(depth - 1, -1, -1):
        end = tail
        for place in range(head, end):
            node = queue[place]
            first = nodes[node, IN + START]
            last = first + nodes[node, IN + COUNT]
            seen += last - first
            for slot in range(first, last):
                caller = neighbours[slot]
                if mark[caller] != tick or hop[caller] != nearer or on[caller] == tick:
                    continue
                if mask[edges[slot]] != 0:
                    on[caller] = tick
                    queue[tail] = caller
                    tail += 1
        head = end
    return seen


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], uint8[::1], int32[::1], int32[:, ::1], int32[::1], "
    "int32[::1], int64, int64, int64, int64[::1])"
)
def find_detour(  # noqa: C901 - a search, and what it must keep away from
    nodes: Any,
    pool: Any,
    mask: Any,
    bound: Any,
    state: Any,
    given: Any,
    closed: Any,
    target: int,
    limit: int,
    tick: int,
    ledger: Any,
) -> int:
    """
    Find all shortest paths from the last of the given nodes, the spur, to the target.

    They have at most ``limit`` hops.

    They avoid the other given nodes, and do not begin with a closed one. Returns their hops, 0 =
    there is none, and marks the nodes on them ON. Only nodes are visited from which the target may
    be within the limit, so that a search for a path that is there looks at little else. O(E).
    """
    mark, hop, queue = state[MARK], state[HOP], state[QUEUE]
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    for position in range(len(given)):
        mark[given[position]] = tick
        hop[given[position]] = GIVEN
    for position in range(len(closed)):
        state[CLOSED, closed[position]] = tick
    spur = given[len(given) - 1]
    hop[spur] = 0
    queue[0] = spur
    head, tail, depth, effort, beyond = 0, 1, 0, 0, 0
    while head < tail and mark[target] != tick:
        depth += 1
        end = tail
        for place in range(head, end):
            node = queue[place]
            first = nodes[node, OUT + START]
            last = first + nodes[node, OUT + COUNT]
            effort += last - first
            for slot in range(first, last):
                callee = neighbours[slot]
                if mark[callee] == tick or bound[callee] == NOT_FOUND or mask[edges[slot]] == 0:
                    continue
                if depth == 1 and state[CLOSED, callee] == tick:
                    continue
                length = depth + bound[callee]
                if length > limit:
                    if beyond == 0 or length < beyond:
                        beyond = length
                    continue
                mark[callee] = tick
                hop[callee] = depth
                queue[tail] = callee
                tail += 1
        head = end
    ledger[BEYOND] = beyond
    ledger[EFFORT] = effort
    if mark[target] != tick:
        return 0
    ledger[EFFORT] = effort + mark_shortest(nodes, pool, mask, state, target, depth, tick)
    return depth


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], int32[:, ::1], int32[::1], int64, int64, int64)")
def follow(nodes: Any, pool: Any, mask: Any, state: Any, path: Any, at: int, end: int, tick: int) -> int:
    """
    Write what follows ``path[at]`` on the marked shortest paths, as long as there is no choice.

    Stops at ``path[end]``.

    Returns the position of the last node that is certain. O(edges of the nodes on the way).
    """
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    while at < end:
        node = path[at]
        further = state[HOP, node] + 1
        following = NOT_FOUND
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + COUNT]):
            callee = neighbours[slot]
            if callee == following or state[ON, callee] != tick or state[HOP, callee] != further:
                continue
            if mask[edges[slot]] == 0:
                continue
            if following != NOT_FOUND:
                return at
            following = callee
        at += 1
        path[at] = following
    return at


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], uint8[::1], int32[::1], int32[:, ::1], int32[::1], "
    "int32[::1], int64, int64, int32[::1])"
)
def find_deviations(
    nodes: Any,
    pool: Any,
    mask: Any,
    bound: Any,
    state: Any,
    path: Any,
    closed: Any,
    start: int,
    tick: int,
    least: Any,
) -> int:
    """
    Return how many hops a path has at least that leaves ``path`` at each position from ``start``.

    It leaves behind the node of the position; 0 = none does.

    Behind ``path[start]`` it must not go on with a closed node either. Returns how many edges were
    looked at.
    """
    mark, hop = state[MARK], state[HOP]
    neighbours, edges = pool[NEIGHBOUR], pool[EDGE]
    for position in range(len(path)):
        mark[path[position]] = tick
        hop[path[position]] = position
    for position in range(len(closed)):
        state[CLOSED, closed[position]] = tick
    effort = 0
    for position in range(start, len(path) - 1):
        node, following, shortest = path[position], path[position + 1], 0
        first = nodes[node, OUT + START]
        last = first + nodes[node, OUT + COUNT]
        effort += last - first
        for slot in range(first, last):
            callee = neighbours[slot]
            if callee == following or bound[callee] == NOT_FOUND or mask[edges[slot]] == 0:
                continue
            if mark[callee] == tick and hop[callee] <= position:
                continue
            if position == start and state[CLOSED, callee] == tick:
                continue
            length = position + 1 + bound[callee]
            if shortest == 0 or length < shortest:
                shortest = length
        least[position] = shortest
    return effort
