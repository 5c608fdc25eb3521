"""Which dependencies count for an analysis."""

import numpy as np
from numpy.typing import NDArray

from graphcore.flags import EdgeFilter
from graphcore.graph import DependencyGraph
from graphcore.kernels import counting


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
