"""
Rows of the calls that an audit looks at, and searches in such rows.

The calls of a node are ``start[node]`` to before ``start[node + 1]`` of any column that stands
beside.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, NEIGHBOUR, OUT, START


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], int64, int64, uint8[::1], int32[::1])")
def mark_within(nodes: Any, pool: Any, mask: Any, begin: int, hops: int, near: Any, queue: Any) -> int:
    """
    Set ``near`` to 1 for the nodes fewer than ``hops`` calls from a node; returns how many.

    From these a path of ``hops`` calls that begins at the node may go on.
    """
    near[begin] = 1
    queue[0] = begin
    head, tail = 0, 1
    for _ in range(hops - 1):
        end = tail
        for place in range(head, end):
            node = queue[place]
            first = nodes[node, OUT + START]
            for slot in range(first, first + nodes[node, OUT + COUNT]):
                callee = pool[NEIGHBOUR, slot]
                if near[callee] == 0 and mask[pool[EDGE, slot]] != 0:
                    near[callee] = 1
                    queue[tail] = callee
                    tail += 1
        head = end
    return tail


@kernel("int64(int32[:, ::1], int32[:, ::1], uint8[::1], uint8[::1], int32[::1], int32[::1])")
def gather_slots(nodes: Any, pool: Any, mask: Any, chosen: Any, start: Any, slots: Any) -> int:
    """
    List the slots of the edges in ``mask`` whose caller is chosen, node by node.

    Returns how many.
    """
    count = 0
    for node in range(len(nodes)):
        start[node] = count
        if chosen[node] == 0:
            continue
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + COUNT]):
            if mask[pool[EDGE, slot]] != 0:
                slots[count] = slot
                count += 1
    start[len(nodes)] = count
    return count


@kernel("void(int32[::1], int64[::1], int32[::1], int64[::1], int64[::1])")
def lower_bounds(start: Any, values: Any, rows: Any, wanted: Any, found: Any) -> None:
    """
    Find in a row for each of ``rows`` the first place with at least the value wanted.

    Values of a row rise. O(log of its length) each.
    """
    for number in range(len(rows)):
        low, high = start[rows[number]], start[rows[number] + 1]
        value = wanted[number]
        while low < high:
            middle = (low + high) // 2
            if values[middle] < value:
                low = middle + 1
            else:
                high = middle
        found[number] = low
