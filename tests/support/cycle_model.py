"""Which services reach each other over dependencies that count: plain sets and networkx."""

from dataclasses import dataclass, field

import networkx as nx

LEAST = 0.5
Edge = tuple[str, str, str]


@dataclass
class Plain:
    """The model: services, and dependencies with their staleness and confidence."""

    services: set[str] = field(default_factory=set)
    edges: dict[Edge, tuple[bool, float]] = field(default_factory=dict)

    def digraph(self) -> "nx.DiGraph[str]":
        """The pairs of services between which a dependency counts."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.services)
        graph.add_edges_from(
            (source, target)
            for (source, target, _), (stale, confidence) in self.edges.items()
            if not stale and confidence >= LEAST
        )
        return graph

    def rename(self, old: str, new: str) -> None:
        """Call a service otherwise."""

        def now(name: str) -> str:
            return new if name == old else name

        self.services = {now(name) for name in self.services}
        self.edges = {(now(a), now(b), source): value for (a, b, source), value in self.edges.items()}

    def remove(self, name: str) -> None:
        """Remove a service with its dependencies."""
        self.services.discard(name)
        self.edges = {edge: value for edge, value in self.edges.items() if name not in edge[:2]}


def cyclic_components(graph: "nx.DiGraph[str]") -> set[tuple[str, ...]]:
    """The strongly connected components of two or more services, as networkx finds them."""
    return {tuple(sorted(members)) for members in nx.strongly_connected_components(graph) if len(members) > 1}


def girth(graph: "nx.DiGraph[str]", members: tuple[str, ...]) -> int:
    """The length of a shortest cycle of a component, by a search from every edge."""
    inside = graph.subgraph(members)
    return min(1 + int(nx.shortest_path_length(inside, target, source)) for source, target in inside.edges)


def is_shortest(graph: "nx.DiGraph[str]", path: tuple[str, ...], members: tuple[str, ...]) -> bool:
    """Whether a path is a cycle of a component, and none is shorter."""
    steps = zip(path, path[1:] + path[:1], strict=True)
    return all(graph.has_edge(*step) for step in steps) and len(path) == girth(graph, members)
