"""
Calls between some services, copied out of the traversal index into rows of their own.

The chosen nodes are numbered 0, 1, … in the order in which they are given. The calls of number
``n`` are ``target[start[n] : start[n + 1]]``, parallel ones each, in no particular order; ``edge``
stands beside ``target``. Nothing here looks at the graph again, so an analysis may go on working on
rows that it changes.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import EDGE, FLAGS, FRESH, IN, NEIGHBOUR, OUT, START


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], float64, int64, int32[::1], int32[::1], "
    "int32[::1], int32[::1], int32[::1])"
)
def gather_edges(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    blocked: int,
    chosen: Any,
    number_of: Any,
    start: Any,
    target: Any,
    edge: Any,
) -> int:
    """
    Copy the edges between chosen nodes that count; returns how many.

    They are not stale, have no flag of ``blocked`` and at least the confidence ``floor``.

    ``number_of[node]`` is a node's place in ``chosen``, or negative for one that is not chosen.
    """
    count = 0
    for number in range(len(chosen)):
        node = chosen[number]
        start[number] = count
        begin = nodes[node, OUT + START]
        for slot in range(begin, begin + nodes[node, OUT + FRESH]):
            other = number_of[pool[NEIGHBOUR, slot]]
            if other < 0 or pool[FLAGS, slot] & blocked:
                continue
            if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                continue
            target[count] = other
            edge[count] = pool[EDGE, slot]
            count += 1
    start[len(chosen)] = count
    return count


@kernel("void(int32[::1], int32[::1], int32[::1], int32[::1])")
def turn_round(start: Any, target: Any, back_start: Any, call: Any) -> None:
    """
    List the calls of each callee, in order. O(V + E).

    Those of number ``n`` are in ``target`` at ``call[back_start[n] : back_start[n + 1]]``.
    """
    count = len(start) - 1
    for number in range(count + 1):
        back_start[number] = 0
    for place in range(start[count]):
        back_start[target[place]] += 1
    end = 0
    for number in range(count + 1):
        end += back_start[number]
        # Where the row ends, for it is filled from its end.
        back_start[number] = end
    for number in range(count - 1, -1, -1):
        for place in range(start[number + 1] - 1, start[number] - 1, -1):
            back_start[target[place]] -= 1
            call[back_start[target[place]]] = place


@kernel("int64(int32[:, ::1], int32[:, ::1], float64[::1], float64, int64, int64, int32[::1], int32[::1])")
def component_around(
    nodes: Any,
    pool: Any,
    confidence: Any,
    floor: float,
    blocked: int,
    begin: int,
    mark: Any,
    queue: Any,
) -> int:
    """
    Find the strongly connected component of a node over what ``gather_edges`` would copy.

    ``mark`` must be 0 everywhere.

    Returns its size; its nodes are the first ones of ``queue``. Two searches, the second along
    callers and only over what the first one found: O(V + E) at worst.
    """
    queue[0] = begin
    tail = 1
    for way in range(2):
        side, reached = OUT + way * (IN - OUT), way + 1
        mark[begin] = reached
        head, tail = 0, 1
        while head < tail:
            node = queue[head]
            head += 1
            first = nodes[node, side + START]
            for slot in range(first, first + nodes[node, side + FRESH]):
                other = pool[NEIGHBOUR, slot]
                if mark[other] != way or pool[FLAGS, slot] & blocked:
                    continue
                if floor > 0.0 and confidence[pool[EDGE, slot]] < floor:
                    continue
                mark[other] = reached
                queue[tail] = other
                tail += 1
    return tail
