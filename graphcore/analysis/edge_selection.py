"""
The edges that an analysis uses: all that pass a filter, or the leading one of each pair.

A mask has a byte for each edge: 0 if it does not count, else ``COUNTS_BIT`` and its *words*, the
flags of its mode and its criticality; of a leading edge, those of its pair.

``SyncCalls`` are some of them in rows, with the timeouts and retries of callers.

Several discovery sources may report one pair. Edges *take part* if they pass the filter's discovery
sources, confidence and staleness. The *leading* edge of a pair is the first of these in this order:
fresh before stale; manual, catalogue, service mesh, OpenTelemetry, Kubernetes; higher confidence.
The mode of a pair is that of the first edge in this order that knows it, and so is its criticality:
unknown if none knows. The filter's communication modes and criticalities apply to these. Edges
from or to a service of the filter's ``excluded_kinds`` pass no filter, but for services that the
question names.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import STALE, EdgeFilter, EdgeFlag
from graphcore.kernels import (
    CRITICALITIES,
    EDGE,
    FLAGS,
    NEIGHBOUR,
    OUT_SLOT,
    audits,
    effective,
    filtering,
)

_FIRST_SOURCE = 7
_SOURCE_BITS = 31


def passing_edges(
    graph: DependencyGraph, edge_filter: EdgeFilter, named: Sequence[int] = ()
) -> NDArray[np.uint8]:
    """
    Mark the edges that pass a filter: a new mask, 0 for unused edges, too.

    ``named``: the nodes that the question names, which may be of an excluded kind. Valid until the
    graph changes. O(V + E); compiled, it lets other threads run.
    """
    mask: NDArray[np.uint8] = np.zeros(len(graph.index.edges), np.uint8)
    wanted = edge_filter.blocked, edge_filter.reads_stale, edge_filter.min_confidence
    filtering.mark_passing.run(*graph.index.arrays, mask, *wanted)
    _leave_out_kinds(graph, mask, edge_filter, named)
    return mask


def effective_edges(
    graph: DependencyGraph, edge_filter: EdgeFilter, named: Sequence[int] = ()
) -> NDArray[np.uint8]:
    """
    Mark the leading edges of the pairs that pass the filter: a new mask.

    A walk over the marked edges crosses each pair once, if its effective dependency passes.
    ``named`` as of ``passing_edges``. Valid until the graph changes. O(V + E); compiled, it lets
    other threads run.
    """
    index = graph.index
    mask: NDArray[np.uint8] = np.zeros(len(index.edges), np.uint8)
    leading = np.zeros((CRITICALITIES + 1, len(index.nodes)), np.int32)
    wanted = edge_filter.blocked, edge_filter.reads_stale, edge_filter.min_confidence
    filtering.mark_effective.run(*index.arrays, leading, mask, *wanted)
    _leave_out_kinds(graph, mask, edge_filter, named)
    return mask


def shut_nodes(graph: DependencyGraph, kinds: int, named: Sequence[int] = ()) -> NDArray[np.uint8]:
    """Mark the services of some kinds, by node, but those that the question names. O(V)."""
    shut: NDArray[np.uint8] = np.zeros(len(graph.index.nodes), np.uint8)
    shut[graph.nodes_of_kinds(kinds)] = 1
    shut[list(named)] = 0
    return shut


def _leave_out_kinds(
    graph: DependencyGraph, mask: NDArray[np.uint8], edge_filter: EdgeFilter, named: Sequence[int]
) -> None:
    if edge_filter.excluded_kinds:
        shut = shut_nodes(graph, edge_filter.excluded_kinds, named)
        filtering.leave_out.run(graph.index.edges, mask, shut)


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
            audits.mark_within.run(index.nodes, index.pool, mask, begin, hops, chosen, queue)
        start = np.empty(count + 1, np.int32)
        slots = np.empty(int(np.count_nonzero(mask)), np.int32)
        found = audits.gather_slots.run(index.nodes, index.pool, mask, chosen, start, slots)
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
_BEHIND_MANUAL = (
    EdgeFlag.CATALOG,
    EdgeFlag.SERVICE_MESH,
    EdgeFlag.OTEL_SERVICE_GRAPH,
    EdgeFlag.KUBERNETES,
)
_BEHIND_FRESH = 5


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
