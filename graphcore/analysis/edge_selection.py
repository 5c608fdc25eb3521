"""
Which dependencies count for an analysis: all that pass a filter, or one effective dependency for each pair of services.

Several discovery sources may know of one pair. Edges *take part* when they pass what a filter says of discovery sources, confidence and staleness. The *leading* one of those of a pair is the first
in this order: fresh before stale; manual, service mesh, OpenTelemetry, Kubernetes; higher confidence. What the filter says of communication modes and criticalities is asked
of the leading edge alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import SOURCES, EdgeFilter
from graphcore.kernels import counting, effective


def counting_edges(graph: DependencyGraph, edge_filter: EdgeFilter) -> NDArray[np.uint8]:
    """
    Mark the edges that pass a filter: an array by edge index, 1 for an edge that passes, 0 for others and for indices without an edge.

    O(V + E); compiled, it lets other threads run. The array is the caller's own, and means nothing once the graph has moved on.
    """
    index = graph.index
    mask: NDArray[np.uint8] = np.zeros(len(index.edges), np.uint8)
    counting.mark_passing.run(
        index.nodes,
        index.pool,
        index.confidence,
        mask,
        edge_filter.blocked,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    return mask


# Room for as many edges a pair as there are discovery sources; more only where the tables have lost their constraints.
_EDGES_A_PAIR = 4


def effective_edges(graph: DependencyGraph, edge_filter: EdgeFilter) -> NDArray[np.uint8]:
    """
    Mark the leading edge of each pair whose leading edge passes the filter: an array by edge index, 1 for such an edge, 0 for all else.

    So a walk over the edges marked crosses each pair once, and exactly where its effective dependency passes. O(V + E); compiled, it lets other threads
    run. Uses no scratch of the graph. The array is the caller's own, and means nothing once the graph has moved on.
    """
    index = graph.index
    mask: NDArray[np.uint8] = np.zeros(len(index.edges), np.uint8)
    effective.mark_effective.run(
        index.nodes,
        index.pool,
        index.confidence,
        np.zeros(len(index.nodes), np.int32),
        mask,
        edge_filter.blocked & SOURCES,
        edge_filter.blocked & ~SOURCES,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    return mask


class ParallelEdges(NamedTuple):
    """Edges that take part, pair by pair: those of pair ``i`` are ``edges[starts[i]:starts[i + 1]]``, in no particular order."""

    edges: NDArray[np.int32]
    starts: NDArray[np.int64]


def parallel_edges(
    graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter
) -> ParallelEdges:
    """
    Gather all edges that take part in the pairs of ``chosen``, one edge of each pair: what its effective dependency is merged from.

    Fastest when edges of one service follow each other; O(the smaller degree of each pair's ends) when not. Compiled, it lets other threads
    run. Uses no scratch of the graph.
    """
    index = graph.index
    places: NDArray[np.int32] = np.zeros(len(index.nodes), np.int32)
    starts: NDArray[np.int64] = np.empty(len(chosen) + 1, np.int64)
    room = _EDGES_A_PAIR * len(chosen)
    while True:
        found: NDArray[np.int32] = np.empty(room, np.int32)
        count = effective.gather_parallel.run(
            index.nodes,
            index.pool,
            index.edges,
            index.confidence,
            chosen,
            places,
            found,
            starts,
            edge_filter.blocked & SOURCES,
            edge_filter.reads_stale,
            edge_filter.min_confidence,
        )
        if count <= room:
            return ParallelEdges(found[:count], starts)
        room = count
