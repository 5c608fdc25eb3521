"""Walks whose results are records instead of indices."""

from dataclasses import dataclass
from typing import NamedTuple

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.graph.records import ServiceRecord
from graphcore.traversal import FRESH, Direction, Reach, reach


class TraversedDependency(NamedTuple):
    """A dependency that a walk crossed: the names of its services, and its payload."""

    source: str
    target: str
    payload: object


@dataclass(frozen=True, slots=True)
class Traversal:
    """
    The result of a walk, independent of later changes.

    ``services`` are in breadth-first order; ``depths`` are their hops from the start.
    """

    services: list[ServiceRecord]
    depths: list[int]
    dependencies: list[TraversedDependency]
    truncated: bool


def traverse(
    graph: DependencyGraph,
    start: str,
    direction: Direction,
    max_depth: int,
    edge_filter: EdgeFilter = FRESH,
    *,
    max_services: int = 0,
    with_dependencies: bool = True,
    effective: bool = False,
) -> Traversal:
    """Call ``reach`` and look up the records."""
    found = reach(
        graph,
        start,
        direction,
        max_depth,
        edge_filter,
        max_services=max_services,
        with_dependencies=with_dependencies,
        effective=effective,
    )
    services = [graph.digraph[node] for node in found.nodes.tolist()]
    depths = [depth for depth, count in enumerate(found.depth_counts, 1) for _ in range(count)]
    return Traversal(services, depths, _dependencies(graph, found), found.truncated)


def _dependencies(graph: DependencyGraph, found: Reach) -> list[TraversedDependency]:
    ends = graph.index.edges[found.edges, :2].tolist()
    payloads = graph.dependency_payloads[found.edges].tolist()
    name_of = {node: graph.digraph[node].name for pair in ends for node in pair}
    return [
        TraversedDependency(name_of[source], name_of[target], payload)
        for (source, target), payload in zip(ends, payloads, strict=True)
    ]
