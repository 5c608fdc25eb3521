"""Kernels that shrink a graph to its components."""

from typing import Any

from graphcore.compiling import kernel


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
