"""Synchronous calls in rows, and the timeouts and retries that their callers use."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.edge_selection import parallel_edges
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import STALE, EdgeFilter, EdgeFlag
from graphcore.kernels import audits as kernels
from graphcore.kernels.layout import EDGE, FLAGS, NEIGHBOUR, OUT_SLOT

_FIRST_SOURCE = 5
_SOURCE_BITS = 15


class SyncCalls(NamedTuple):
    """
    Calls by caller; those of node n are at ``start[n] : start[n + 1]`` of the other columns.

    ``origin`` is the discovery source, as a number that rises in the order of sources.
    """

    start: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    edge: NDArray[np.int32]
    origin: NDArray[np.int32]

    @classmethod
    def of(cls, graph: DependencyGraph, mask: NDArray[np.uint8], begin: int | None, hops: int) -> "SyncCalls":
        """Gather the edges in ``mask``; with ``begin`` those within ``hops`` calls from it."""
        index, count = graph.index, len(graph.index.nodes)
        chosen: NDArray[np.uint8] = np.full(count, begin is None, np.uint8)
        if begin is not None:
            queue = np.empty(count, np.int32)
            kernels.mark_within.run(index.nodes, index.pool, mask, begin, hops, chosen, queue)
        start = np.empty(count + 1, np.int32)
        slots = np.empty(int(np.count_nonzero(mask)), np.int32)
        found = kernels.gather_slots.run(index.nodes, index.pool, mask, chosen, start, slots)
        slots = slots[:found]
        return cls(
            start,
            np.repeat(np.arange(count, dtype=np.int32), np.diff(start)),
            index.pool[NEIGHBOUR].take(slots),
            index.pool[EDGE].take(slots),
            index.pool[FLAGS].take(slots) >> _FIRST_SOURCE & _SOURCE_BITS,
        )


CallPolicies: TypeAlias = Callable[
    [NDArray[np.object_], NDArray[np.int32]], tuple[NDArray[np.int64], NDArray[np.int64]]
]
"""Reads the timeouts (ms) and attempts in the payloads of some edges; 0: unknown."""

# Sources after MANUAL, in order; stale dependencies come after all fresh ones.
_BEHIND_MANUAL = (EdgeFlag.SERVICE_MESH, EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.KUBERNETES)
_BEHIND_FRESH = 4


def merged_policies(
    graph: DependencyGraph, chosen: NDArray[np.int32], edge_filter: EdgeFilter, policies: CallPolicies
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Read timeout and attempts of each chosen edge's pair from the first source that knows them.

    0 if none does. O(E log E) for the edges that take part.
    """
    edges, starts = parallel_edges(graph, chosen, edge_filter)
    timeouts, attempts = policies(graph.dependency_payloads, edges)
    pairs = np.repeat(np.arange(len(chosen)), np.diff(starts))
    order, count = np.lexsort((_precedence(graph, edges), pairs)), len(chosen)
    pairs = pairs[order]
    return _first_known(timeouts[order], pairs, count), _first_known(attempts[order], pairs, count)


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
