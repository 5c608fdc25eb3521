"""The breadth-first search below a traversal: node indices in, hops out, no records and no names."""

from collections.abc import Callable, Iterable

from graphcore.flags import STALE, EdgeFilter
from graphcore.graph import DependencyGraph

Neighbours = Callable[[int], Iterable[int]]


def hops(origin: int, neighbours: Neighbours, max_depth: int, enough: int) -> dict[int, int]:
    """
    Map each node within ``max_depth`` hops to its smallest number of hops, in order of discovery, the origin first.

    Ends early once ``enough`` nodes beside the origin are found. O(edges of the nodes walked over).
    """
    depths = {origin: 0}
    frontier = [origin]
    for depth in range(1, max_depth + 1):
        discovered: list[int] = []
        for node in frontier:
            for neighbour in neighbours(node):
                if neighbour not in depths:
                    depths[neighbour] = depth
                    if len(depths) > enough:
                        return depths
                    discovered.append(neighbour)
        if not discovered:
            break
        frontier = discovered
    return depths


def callees(graph: DependencyGraph, edge_filter: EdgeFilter) -> Neighbours:
    """Choose how to list the targets of a node's passing edges: by index alone where no edge can fail to pass."""
    if _everything_passes(graph, edge_filter):
        return graph.digraph.successor_indices
    out_edges = graph.digraph.out_edges
    blocked, floor = ~edge_filter.allowed, edge_filter.min_confidence
    return lambda node: [
        target
        for _, target, record in out_edges(node)
        if not record.flags & blocked and record.confidence >= floor
    ]


def callers(graph: DependencyGraph, edge_filter: EdgeFilter) -> Neighbours:
    """Choose how to list the sources of a node's passing edges, as ``callees`` does its targets."""
    if _everything_passes(graph, edge_filter):
        return graph.digraph.predecessor_indices
    in_edges = graph.digraph.in_edges
    blocked, floor = ~edge_filter.allowed, edge_filter.min_confidence
    return lambda node: [
        source
        for source, _, record in in_edges(node)
        if not record.flags & blocked and record.confidence >= floor
    ]


def _everything_passes(graph: DependencyGraph, edge_filter: EdgeFilter) -> bool:
    return edge_filter.passes_all_fresh and (not graph.stale_count or bool(edge_filter.allowed & STALE))
