"""How long callers wait and how often they try: as one source says, or as all of them do together."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.effective import parallel_edges
from graphcore.flags import STALE, EdgeFilter, EdgeFlag
from graphcore.graph import DependencyGraph
from graphcore.kernels.layout import FLAGS, OUT_SLOT

CallPolicies: TypeAlias = Callable[
    [NDArray[np.object_], NDArray[np.int32]], tuple[NDArray[np.int64], NDArray[np.int64]]
]
"""Reads the payloads in some places of a column: timeouts in milliseconds and attempts, 0 = not known."""

# The order of sources; a stale dependency comes behind every fresh one.
_BEHIND_MANUAL = (EdgeFlag.SERVICE_MESH, EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.KUBERNETES)
_BEHIND_FRESH = 4


def merged_policies(
    graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter, policies: CallPolicies
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Read, for each pair of services of which an edge is ``chosen``, what the first source says that knows it; 0 = none does.

    O(E log E) of the edges that take part.
    """
    beside = parallel_edges(graph, chosen, edge_filter)
    timeouts, attempts = policies(graph.dependency_payloads, beside.edges)
    pairs = np.repeat(np.arange(len(chosen)), np.diff(beside.starts))
    order = np.lexsort((_precedence(graph, beside.edges), pairs))
    return _first_known(timeouts[order], pairs[order], len(chosen)), _first_known(
        attempts[order], pairs[order], len(chosen)
    )


def _precedence(graph: DependencyGraph, edges: NDArray[np.int32]) -> NDArray[np.int64]:
    index = graph.index
    flags = index.pool[FLAGS].take(index.edges[edges, OUT_SLOT]).astype(np.int64)
    place = sum((flags & int(source) != 0) * rank for rank, source in enumerate(_BEHIND_MANUAL, 1))
    return np.asarray(place + (flags & STALE != 0) * _BEHIND_FRESH, np.int64)


def _first_known(values: NDArray[np.int64], pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    known = values > 0
    found = np.zeros(count, np.int64)
    which, first = np.unique(pairs[known], return_index=True)
    found[which] = values[known][first]
    return found
