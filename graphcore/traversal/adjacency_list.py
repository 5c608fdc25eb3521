"""The adjacency list: per service the services it calls directly."""

from collections.abc import Iterator
from heapq import heapify, heappop

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.kernels.layout import COUNT, FRESH, NEIGHBOUR, OUT, START, USED


def adjacency(
    graph: DependencyGraph, *, include_stale: bool = False
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """
    List every service with the names it calls directly, distinct; both sorted by code point, services without any included.

    The list is that of the graph as it is when this is called, however long one takes to go through it. Capturing that copies
    arrays, O(V + E), a few milliseconds a million edges; the first service takes O(V), every other O(log V) and its own targets.
    """
    index = graph.index
    part = COUNT if include_stale else FRESH
    segments = index.nodes[:, [OUT + START, OUT + part]]
    neighbours = index.pool[NEIGHBOUR, : index.ledger[USED]].copy()
    return _listed(graph.nodes_by_name(), segments, neighbours)


def _listed(
    node_of: dict[str, int], segments: NDArray[np.int32], neighbours: NDArray[np.int32]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    name_of = [""] * len(segments)
    for name, node in node_of.items():
        name_of[node] = name
    # A heap, because sorting a hundred thousand names would keep everybody waiting before the first comes out.
    names = list(node_of)
    heapify(names)
    while names:
        name = heappop(names)
        start, count = segments[node_of[name]].tolist()
        targets = {name_of[target] for target in neighbours[start : start + count].tolist()}
        yield name, tuple(sorted(targets))
