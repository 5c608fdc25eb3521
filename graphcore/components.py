"""Strongly connected components: the sets of services that all reach each other, so every cycle lies within one."""

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import rustworkx as rx

from graphcore.changes import DependencyRecord, ServiceRecord
from graphcore.errors import UnknownServiceError
from graphcore.flags import STALE
from graphcore.graph import DependencyGraph


class Component(NamedTuple):
    """
    Services that all reach each other over dependencies that are not stale.

    ``members`` are sorted names; ``edge_count`` counts the dependencies between them that are not stale, parallel ones each.
    """

    members: tuple[str, ...]
    edge_count: int

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def is_cycle(self) -> bool:
        """Whether the members call each other in a circle, which a service alone does not."""
        return len(self.members) > 1


class Components:
    """The components of one state of a graph; stays as it is while the graph moves on."""

    def __init__(self, cycles: Iterable[Component], names: frozenset[str]) -> None:
        self._cycles = sorted(cycles, key=lambda component: (-component.size, component.members))
        self._cycle_of = {name: component for component in self._cycles for name in component.members}
        self._names = names

    def of(self, name: str) -> Component:
        """Look up the component a service is in; raises ``UnknownServiceError``. O(1)."""
        component = self._cycle_of.get(name)
        if component is not None:
            return component
        if name not in self._names:
            raise UnknownServiceError(name)
        return Component((name,), 0)

    def largest_first(self, min_size: int = 2) -> list[Component]:
        """
        List the components of at least ``min_size`` services, largest first, then by first member.

        O(those listed); below 2 that is O(V), and O(V log V) the first time.
        """
        if min_size <= 1:
            return self._cycles + self._singletons
        return [component for component in self._cycles if component.size >= min_size]

    @cached_property
    def _singletons(self) -> list[Component]:
        return [Component((name,), 0) for name in sorted(self._names - self._cycle_of.keys())]


def components(graph: DependencyGraph) -> Components:
    """
    Partition the services by who reaches whom, over dependencies that are not stale.

    Remembered by the graph until names, edges or staleness change; then O(V + E) again, holding the GIL.
    Source: Kosaraju, via ``rustworkx.strongly_connected_components``.
    """
    return graph.derived(_compute)


def _compute(graph: DependencyGraph) -> Components:
    searched = _without_stale_edges(graph.digraph) if graph.stale_count else graph.digraph
    cycles = [nodes for nodes in rx.strongly_connected_components(searched) if len(nodes) > 1]
    names = frozenset(record.name for record in graph.services())
    return Components((_component(graph, nodes) for nodes in cycles), names)


def _component(graph: DependencyGraph, nodes: list[int]) -> Component:
    inside = frozenset(nodes)
    edge_count = sum(
        target in inside and not record.flags & STALE
        for node in nodes
        for _, target, record in graph.digraph.out_edges(node)
    )
    return Component(tuple(sorted(graph.digraph[node].name for node in nodes)), edge_count)


def _without_stale_edges(
    digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord],
) -> rx.PyDiGraph[None, None]:
    """Build the bare digraph of the other edges, node indices kept; O(V + E), however many edges are stale."""
    bare: rx.PyDiGraph[None, None] = rx.PyDiGraph()
    # Removed nodes leave holes in the indices: filling them adds nodes without edges, each a component by itself.
    bare.add_nodes_from([None] * (max(digraph.node_indices()) + 1))
    bare.add_edges_from_no_data(
        [
            (source, target)
            for source, target, record in digraph.weighted_edge_list()
            if not record.flags & STALE
        ],
    )
    return bare
