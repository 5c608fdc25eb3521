"""Which services a service calls, or is called by, directly and through others: as records. The rules are those of ``graphcore.traversal.reach``."""

from dataclasses import dataclass
from typing import NamedTuple

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.graph.records import ServiceRecord
from graphcore.traversal.reach import FRESH, Direction, Reach, reach


class TraversedDependency(NamedTuple):
    """A dependency a walk went over: the names its two services had then, and its payload."""

    source: str
    target: str
    payload: object


@dataclass(frozen=True, slots=True)
class Traversal:
    """
    What a walk found; stays as it is while the graph moves on.

    ``services`` are in breadth-first order without the start; ``depths`` are their hops from the start, in the same
    order; ``dependencies`` are empty unless asked for; ``truncated`` says that ``max_services`` cut services off.
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
) -> Traversal:
    """
    Walk breadth-first from the service named ``start`` over the dependencies that pass the filter.

    Asks ``reach``, whose arguments, errors and complexity these are, and looks the records up.
    """
    found = reach(
        graph,
        start,
        direction,
        max_depth,
        edge_filter,
        max_services=max_services,
        with_dependencies=with_dependencies,
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
