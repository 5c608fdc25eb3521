"""Services in the order of their names, as numbers that kernels and numpy can compare."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.graph import DependencyGraph
from graphcore.name_sorting import name_order


@dataclass(frozen=True, slots=True)
class NameOrder:
    """
    ``nodes`` are all services sorted by name, code point by code point; ``rank`` is the place of each node among them, -1 for an index without a service.

    Of use while the graph stands still.
    """

    nodes: NDArray[np.int32]
    rank: NDArray[np.int32]

    @classmethod
    def of(cls, graph: DependencyGraph) -> "NameOrder":
        """
        Sort the services of a graph. O(V log V + bytes of names).

        Compiled, it lets other threads run most of the time, where sorting a list of strings would hold them up for tens of milliseconds.
        """
        by_name = graph.nodes_by_name()
        rank: NDArray[np.int32] = np.full(len(graph.index.nodes), -1, np.int32)
        nodes = np.fromiter(by_name.values(), np.int32, len(by_name))
        if by_name:
            nodes = nodes[name_order(list(by_name))]
        rank[nodes] = np.arange(len(nodes), dtype=np.int32)
        return cls(nodes, rank)

    def place(self, graph: DependencyGraph, name: str) -> int:
        """Count the services whose names come before a name, which need not be that of a service. O(log V)."""
        digraph = graph.digraph
        return bisect_left(self.nodes, name, key=lambda node: digraph[int(node)].name)
