"""Strongly connected components: the sets of services that all reach each other, so every cycle lies within one."""

from graphcore.component import Component
from graphcore.graph import DependencyGraph


class Components:
    """The components of a graph as it is now; each answer stays as it is while the graph moves on."""

    __slots__ = ("_graph",)

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph

    def of(self, name: str) -> Component:
        """Look up the component a service is in; raises ``UnknownServiceError``. O(1), O(members) once after it has changed."""
        return self._graph.kept_components.component(self._graph.node(name))

    def largest_first(self, min_size: int = 2) -> list[Component]:
        """
        List the components of at least ``min_size`` services, largest first, then by first member.

        O(components of two or more), and O(V) once after one has changed; below 2 it is always O(V log V).
        """
        return self._graph.kept_components.largest_first(min_size)


def components(graph: DependencyGraph) -> Components:
    """
    Partition the services by who reaches whom, over dependencies that are not stale.

    Kept while the graph changes: a change costs what it touches (see ``graphcore.kernels.components``). The first
    question, and one after a change too large for that, takes O(V + E), unless ``KeptComponents.begin`` had it done aside.
    """
    return graph.derived(Components)


__all__ = ["Component", "Components", "components"]
