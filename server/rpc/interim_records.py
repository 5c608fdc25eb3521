"""Until the replica keeps records: those of a graph whose payloads are rows. Goes away with that."""

from collections.abc import Callable
from typing import Any

import numpy as np

from graphcore import DependencyGraph
from server import wire


class _Column:
    def __init__(self, record: Callable[[int], bytes]) -> None:
        self._record = record

    def take(self, indices: Any) -> Any:
        """Encode the rows at these indices."""
        column = np.empty(len(indices), object)
        column[:] = [self._record(index) for index in indices.tolist()]
        return column

    __getitem__ = take


class _Encoded:
    def __init__(self, graph: Any) -> None:
        digraph = graph.digraph
        self.service_payloads = _Column(lambda node: wire.service_record(digraph[node].payload))
        self.service_briefs = _Column(lambda node: wire.service_brief(digraph[node].name))
        self.dependency_payloads = _Column(lambda edge: _dependency(graph, edge))


def _dependency(graph: Any, edge: int) -> bytes:
    source, target = graph.digraph.get_edge_endpoints_by_index(edge)
    row = graph.digraph.get_edge_data_by_index(edge).payload
    return wire.dependency_record(row, graph.digraph[source].name, graph.digraph[target].name)


def encoded(graph: DependencyGraph) -> Any:
    """Return the graph, or columns of records where it holds rows."""
    payloads = graph.service_payloads
    return graph if len(payloads) and isinstance(payloads[0], bytes) else _Encoded(graph)
