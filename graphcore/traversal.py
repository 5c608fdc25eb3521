"""
Which services a service calls, or is called by, directly and through others.

A service's depth is its smallest number of hops from the start. The start is never among the services found, even on a
cycle. The dependencies of a traversal are those that pass the filter and whose near end lies less than the greatest depth from
the start, once each, those that close a cycle included. Both directions are the union of the upstream and the
downstream walk from the start (not a walk that turns around), each service with its smaller depth, equal
depths downstream first.
"""

import enum
import sys
from dataclasses import dataclass
from typing import NamedTuple

from graphcore.changes import ServiceRecord
from graphcore.flags import EdgeFilter
from graphcore.graph import DependencyGraph
from graphcore.walk import callees, callers, hops

_FRESH = EdgeFilter()


class Direction(enum.Enum):
    """Which way to walk: to callers, to what is called, or each of the two separately."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


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


class _Walks(NamedTuple):
    """Hops by node of each walk, as ``hops`` gives them; empty for a direction not walked."""

    downstream: dict[int, int]
    upstream: dict[int, int]


def traverse(
    graph: DependencyGraph,
    start: str,
    direction: Direction,
    max_depth: int,
    edge_filter: EdgeFilter = _FRESH,
    *,
    max_services: int = 0,
    with_dependencies: bool = True,
) -> Traversal:
    """
    Walk breadth-first from the service named ``start`` over the dependencies that pass the filter.

    ``max_depth`` counts hops, at least 1. ``max_services`` (0 = no limit) keeps the first services found, and the
    dependencies that lie between those and the start. Services of one depth come in no particular order, but in
    the same one until the graph changes.

    Raises ``UnknownServiceError``, and ``ValueError`` for a bound out of range. O(edges of the services walked
    over); with ``max_services`` a walk ends one service beyond it, except for both directions with dependencies, where
    only whole walks tell which dependencies belong.
    """
    if max_depth < 1 or max_services < 0:
        raise ValueError(
            f"max_depth must be at least 1, max_services at least 0, not {max_depth}, {max_services}"
        )
    needs_whole_walks = not max_services or (with_dependencies and direction is Direction.BOTH)
    enough = sys.maxsize if needs_whole_walks else max_services + 1
    walks = _walks(graph, graph.node(start), direction, edge_filter, max_depth=max_depth, enough=enough)
    found = _by_depth(walks)
    kept = found[:max_services] if max_services else found
    services = [graph.digraph[node] for node, _ in kept]
    dependencies: list[TraversedDependency] = []
    if with_dependencies:
        names = {node: record.name for (node, _), record in zip(kept, services, strict=True)}
        names[graph.node(start)] = start
        dependencies = _dependencies(graph, walks, names, edge_filter, max_depth)
    return Traversal(services, [depth for _, depth in kept], dependencies, len(kept) < len(found))


def _walks(
    graph: DependencyGraph,
    origin: int,
    direction: Direction,
    edge_filter: EdgeFilter,
    *,
    max_depth: int,
    enough: int,
) -> _Walks:
    downstream: dict[int, int] = {}
    upstream: dict[int, int] = {}
    if direction is not Direction.UPSTREAM:
        downstream = hops(origin, callees(graph, edge_filter), max_depth, enough)
    if direction is not Direction.DOWNSTREAM:
        upstream = hops(origin, callers(graph, edge_filter), max_depth, enough)
    return _Walks(downstream, upstream)


def _by_depth(walks: _Walks) -> list[tuple[int, int]]:
    """Join the walks into (node, depth), by depth and then downstream first, without the origin."""
    downstream, upstream = walks
    if not downstream or not upstream:
        return list((downstream or upstream).items())[1:]
    joined = [item for item in downstream.items() if item[1] <= upstream.get(item[0], sys.maxsize)]
    joined += [item for item in upstream.items() if item[1] < downstream.get(item[0], sys.maxsize)]
    joined.sort(key=lambda item: item[1])
    return joined[1:]


def _dependencies(
    graph: DependencyGraph,
    walks: _Walks,
    names: dict[int, str],
    edge_filter: EdgeFilter,
    max_depth: int,
) -> list[TraversedDependency]:
    """Collect the passing dependencies of the nodes a walk went on from, as far as both ends are in ``names``."""
    found: list[TraversedDependency] = []
    passes = edge_filter.passes
    for node, depth in walks.downstream.items():
        if depth < max_depth and node in names:
            name = names[node]
            found += [
                TraversedDependency(name, names[target], record.payload)
                for _, target, record in graph.digraph.out_edges(node)
                if target in names and passes(record.flags, record.confidence)
            ]
    for node, depth in walks.upstream.items():
        if depth < max_depth and node in names:
            name = names[node]
            found += [
                TraversedDependency(names[source], name, record.payload)
                for source, _, record in graph.digraph.in_edges(node)
                # What the downstream walk went over as well is there already.
                if source in names
                and walks.downstream.get(source, max_depth) >= max_depth
                and passes(record.flags, record.confidence)
            ]
    return found
