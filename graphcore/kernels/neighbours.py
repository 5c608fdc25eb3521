"""A kernel that counts the services that call others, and those that they call."""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import FRESH, NEIGHBOUR, START


@kernel("void(int32[:, ::1], int32[:, ::1], int32[::1], int64, int32[::1], int32[::1])")
def count_neighbours(nodes: Any, pool: Any, chosen: Any, side: int, mark: Any, counts: Any) -> None:
    """
    Count the distinct neighbours of the ``chosen`` nodes on a side, OUT or IN, over fresh edges.

    ``mark`` has room for every node, and is below 0 everywhere; ``chosen`` has no node twice.
    """
    for number in range(len(chosen)):
        node = chosen[number]
        first = nodes[node, side + START]
        count = 0
        for slot in range(first, first + nodes[node, side + FRESH]):
            neighbour = pool[NEIGHBOUR, slot]
            if mark[neighbour] != number:
                mark[neighbour] = number
                count += 1
        counts[number] = count
