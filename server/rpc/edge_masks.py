"""Which dependencies an analysis looks at."""

import numpy as np
from numpy.typing import NDArray

from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.edge_selection import counting_edges, effective_edges


def edge_mask(graph: DependencyGraph, edge_filter: EdgeFilter, *, effective: bool) -> NDArray[np.uint8]:
    """Mark the dependencies that pass a filter, or for each pair of services the one that leads, if that passes: 1 by edge. O(V + E)."""
    return (effective_edges if effective else counting_edges)(graph, edge_filter)
