"""
The edges that an analysis uses: all that pass a filter, or the leading one of each pair.

Several discovery sources may report one pair. Edges *take part* if they pass the filter's discovery
sources, confidence and staleness. The *leading* edge of a pair is the first of these in this order:
fresh before stale; manual, service mesh, OpenTelemetry, Kubernetes; higher confidence. The filter's
communication modes and criticalities apply to the leading edge only.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.kernels import effective, marking
from graphcore.kernels.layout import LEADS


def passing_edges(graph: DependencyGraph, edge_filter: EdgeFilter) -> NDArray[np.uint8]:
    """
    Mark the edges that pass a filter: a new array by edge, 1 if it passes, 0 if not or unused.

    Valid until the graph changes. O(V + E); compiled, it lets other threads run.
    """
    mask: NDArray[np.uint8] = np.zeros(len(graph.index.edges), np.uint8)
    wanted = edge_filter.blocked, edge_filter.reads_stale, edge_filter.min_confidence
    marking.mark_passing.run(*graph.index.arrays, mask, *wanted)
    return mask


def effective_edges(graph: DependencyGraph, edge_filter: EdgeFilter) -> NDArray[np.uint8]:
    """
    Mark the leading edges that pass the filter: a new array by edge, 1 for such an edge, else 0.

    A walk over the marked edges crosses each pair once, if its effective dependency passes. Valid
    until the graph changes. O(V + E); compiled, it lets other threads run.
    """
    index = graph.index
    mask: NDArray[np.uint8] = np.zeros(len(index.edges), np.uint8)
    leading = np.zeros((LEADS + 1, len(index.nodes)), np.int32)
    wanted = edge_filter.blocked, edge_filter.reads_stale, edge_filter.min_confidence
    marking.mark_effective.run(*index.arrays, leading, mask, *wanted)
    return mask


class ParallelEdges(NamedTuple):
    """Edges that take part; those of pair ``i`` are ``edges[starts[i]:starts[i + 1]]``."""

    edges: NDArray[np.int32]
    starts: NDArray[np.int64]


def parallel_edges(
    graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter
) -> ParallelEdges:
    """
    Gather all edges that take part in the pairs of the ``chosen`` edges, one edge a pair.

    O(the smaller degree of each pair's ends), less if edges of one service follow each other.
    """
    index = graph.index
    places: NDArray[np.int32] = np.zeros(len(index.nodes), np.int32)
    starts = np.empty(len(chosen) + 1, np.int64)
    wanted = edge_filter.blocked, edge_filter.reads_stale, edge_filter.min_confidence
    # One edge for each discovery source; more only if the tables lack their constraints.
    count = 4 * len(chosen)
    while True:
        found = np.empty(count, np.int32)
        count = effective.gather_parallel.run(
            index.nodes, index.pool, index.edges, index.confidence, chosen, places, found, starts, *wanted
        )
        if count <= len(found):
            return ParallelEdges(found[:count], starts)
