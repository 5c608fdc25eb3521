"""
Kernels on the edges of a graph as compressed rows.

Edges of given pairs, rows that are edited, searches along them, and their components.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import COUNT, EDGE, IN, NEIGHBOUR, OUT, START


@kernel("int64(int32[:, ::1], int32[:, ::1], int32[:, ::1], int32[::1], int32[::1])")
def edges_between(nodes: Any, pool: Any, pairs: Any, found: Any, ends: Any) -> int:
    """
    List the edges, stale ones too, from ``pairs[0, n]`` to ``pairs[1, n]``.

    Those of pair ``n`` end in ``found`` before ``ends[n]``.

    Looks through the shorter of both segments. Returns how many there are; if ``found`` has less
    room, call again with more.
    """
    neighbour, edge = pool[NEIGHBOUR], pool[EDGE]
    tail = 0
    for number in range(pairs.shape[1]):
        source, target = pairs[0, number], pairs[1, number]
        node, side, other = source, OUT, target
        if nodes[target, IN + COUNT] < nodes[source, OUT + COUNT]:
            node, side, other = target, IN, source
        begin = nodes[node, side + START]
        for slot in range(begin, begin + nodes[node, side + COUNT]):
            if neighbour[slot] != other:
                continue
            if tail < len(found):
                found[tail] = edge[slot]
            tail += 1
        ends[number] = tail
    return tail


@kernel("int64(int32[::1], int32[::1], int32[:, ::1], int32[:, ::1], int32[::1], int32[::1], int32[::1])")
def edit_rows(
    start: Any, target: Any, lost: Any, gained: Any, mark: Any, new_start: Any, new_target: Any
) -> int:
    """
    Copy rows without the pairs in ``lost`` and with those in ``gained``; returns how many calls.

    Both: sources above targets, by rising source.

    A lost pair goes with all its parallel calls. ``mark``, one entry a node, holds nothing that is
    a number of a node + 1.
    """
    count = next_lost = next_gained = 0
    for node in range(len(start) - 1):
        new_start[node] = count
        first = next_lost
        while next_lost < lost.shape[1] and lost[0, next_lost] == node:
            mark[lost[1, next_lost]] = node + 1
            next_lost += 1
        for slot in range(start[node], start[node + 1]):
            if first == next_lost or mark[target[slot]] != node + 1:
                new_target[count] = target[slot]
                count += 1
        while next_gained < gained.shape[1] and gained[0, next_gained] == node:
            new_target[count] = gained[1, next_gained]
            count += 1
            next_gained += 1
    new_start[len(start) - 1] = count
    return count


@kernel("int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1])")
def choose_rows(start: Any, target: Any, chosen: Any, number_of: Any, new_start: Any, new_target: Any) -> int:
    """
    Copy the calls between chosen nodes, by their positions in ``chosen``.

    Returns how many there are.

    ``number_of[node]`` is that position, or negative for a node that is not chosen.
    """
    count = 0
    for number in range(len(chosen)):
        new_start[number] = count
        for slot in range(start[chosen[number]], start[chosen[number] + 1]):
            other = number_of[target[slot]]
            if other >= 0:
                new_target[count] = other
                count += 1
    new_start[len(chosen)] = count
    return count


@kernel("int64(int32[::1], int32[::1], int32[::1], uint8[::1], int64)")
def downstream_of(start: Any, target: Any, queue: Any, marked: Any, tail: int) -> int:
    """
    Follow calls breadth-first from the first ``tail`` nodes of the queue, which are marked.

    Returns how many nodes are in it then.
    """
    head = 0
    while head < tail:
        node = queue[head]
        head += 1
        for slot in range(start[node], start[node + 1]):
            if not marked[target[slot]]:
                marked[target[slot]] = 1
                queue[tail] = target[slot]
                tail += 1
    return tail


@kernel("int64(int32[::1], int32[::1], int32[::1], int64, int64, int32[::1], uint8[::1], int32[::1])")
def shortest_way(
    start: Any, target: Any, group: Any, source: int, goal: int, before: Any, found: Any, queue: Any
) -> int:
    """
    Find a shortest way from ``source`` to ``goal`` inside of their component.

    Returns how many calls were looked at.

    ``before[node]`` is the node ahead of it on the way then. ``found`` is zero.
    """
    found[source] = 1
    queue[0] = source
    head, tail, looked = 0, 1, 0
    while head < tail and not found[goal]:
        node = queue[head]
        head += 1
        looked += start[node + 1] - start[node]
        for slot in range(start[node], start[node + 1]):
            other = target[slot]
            if found[other] or group[other] != group[source]:
                continue
            found[other] = 1
            before[other] = node
            queue[tail] = other
            tail += 1
    return looked


@kernel(
    "int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1])"
)
def condense(
    start: Any, target: Any, group: Any, sequence: Any, ends: Any, new_start: Any, new_target: Any, mark: Any
) -> int:
    """
    Write which components call which, each pair once: rows by number of the component.

    Returns how many pairs there are.

    ``sequence`` lists the nodes component by component, ``ends`` where each ends in it. ``mark``,
    one entry a component, holds no number of one.
    """
    count = begin = 0
    for number in range(len(ends)):
        new_start[number] = count
        mark[number] = number
        for position in range(begin, ends[number]):
            node = sequence[position]
            for slot in range(start[node], start[node + 1]):
                other = group[target[slot]]
                if mark[other] != number:
                    mark[other] = number
                    new_target[count] = other
                    count += 1
        begin = ends[number]
    new_start[len(ends)] = count
    return count


@kernel(
    "int64(int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[:, ::1], int32[::1], int32[::1])"
)
def cross(
    sequence: Any, ends: Any, other_group: Any, cell: Any, size: Any, groups: Any, mark: Any, latest: Any
) -> int:
    """
    Sort nodes into *cells*.

    Two are in one if they share their component, and their component in another graph as well.

    By node its ``cell``; by cell its ``size`` and, a row each in ``groups``, both components.
    ``mark``, one entry for each component of the other graph, holds no number of a component;
    ``latest`` is room for as many. Returns how many cells there are.
    """
    count = begin = 0
    for number in range(len(ends)):
        for position in range(begin, ends[number]):
            node = sequence[position]
            other = other_group[node]
            if mark[other] != number:
                mark[other] = number
                latest[other] = count
                groups[0, count] = number
                groups[1, count] = other
                size[count] = 0
                count += 1
            cell[node] = latest[other]
            size[latest[other]] += 1
        begin = ends[number]
    return count
