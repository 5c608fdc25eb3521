"""The adjacency list: for each service, the services that it calls directly."""

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
    List all services with the distinct names that each calls directly; both sorted by code point.

    The list shows the graph as of the call, even if it changes during the iteration. The call
    copies arrays, O(V + E), some milliseconds for a million edges. The first service takes O(V),
    each other O(log V) and its own targets.
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
    # A heap: to sort 100,000 names would delay the first service.
    names = list(node_of)
    heapify(names)
    while names:
        name = heappop(names)
        start, count = segments[node_of[name]].tolist()
        targets = {name_of[target] for target in neighbours[start : start + count].tolist()}
        yield name, tuple(sorted(targets))
