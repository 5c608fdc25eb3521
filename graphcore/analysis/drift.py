"""
Drift: dependencies that are declared but not observed, or observed but not declared.

Manual entries, catalogues and Kubernetes manifests declare; traces and service meshes observe. A
pair of services drifts if all dependencies from the one to the other are on one side. Dangling ones
don't count.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import Numbers
from graphcore.analysis.edge_selection import effective_edges, passing_edges, shut_nodes
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import ALL_FLAGS, SOURCES, STALE, EdgeFilter, EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.graph.records import DependencyRecord
from graphcore.kernels import (
    COUNT,
    FRESH,
    IN,
    OUT,
    UNKNOWN_BITS,
    UNKNOWN_CRITICALITY_BIT,
    UNKNOWN_MODE_BIT,
)
from graphcore.kernels import drift as kernels
from graphcore.kernels.drift import DECLARED, OBSERVED

__all__ = ["DECLARED", "OBSERVED", "Drift", "DriftPage", "DriftQuestion", "list_drift"]

_SOURCES_OF = {
    DECLARED: int(EdgeFlag.MANUAL | EdgeFlag.KUBERNETES | EdgeFlag.CATALOG),
    OBSERVED: int(EdgeFlag.OTEL_SERVICE_GRAPH | EdgeFlag.SERVICE_MESH),
}


@dataclass(frozen=True, slots=True)
class DriftQuestion:
    """
    Which drift, and which page of it.

    ``sides``: DECLARED for declared but not observed, OBSERVED for the opposite, their sum for
    both. ``service``: only pairs with this service. ``ignore_stale``: stale dependencies don't
    count. Pairs with another service of ``excluded_kinds`` are left out. ``most`` pairs are listed,
    from the first after ``after``, the names of a pair.
    """

    sides: int = DECLARED | OBSERVED
    service: str | None = None
    ignore_stale: bool = False
    after: tuple[str, str] | None = None
    most: int = 100
    excluded_kinds: int = 0

    @property
    def part(self) -> int:
        """The part of a segment to read."""
        return FRESH if self.ignore_stale else COUNT

    def shut(self, graph: DependencyGraph) -> NDArray[np.uint8]:
        """Mark the services that are left out, by node."""
        named = () if self.service is None else (graph.node(self.service),)
        return shut_nodes(graph, self.excluded_kinds, named)


class Drift(NamedTuple):
    """
    A pair of services, by name, that has dependencies on one side only: DECLARED or OBSERVED.

    ``present``: these dependencies. ``gone``: stale ones of the other side, if stale ones are
    ignored. Both by discovery source.
    """

    side: int
    source: str
    target: str
    present: list[DependencyRecord]
    gone: list[DependencyRecord]


class DriftPage(NamedTuple):
    """
    Pairs sorted by names; ``total`` counts all pairs; ``more``: others come after these.

    ``declared`` and ``observed`` count the dependencies of each side in the whole graph, the others
    the pairs in it of which no source knows the mode, or the criticality.
    """

    drifts: list[Drift]
    total: int
    more: bool
    declared: int
    observed: int
    of_unknown_mode: int
    of_unknown_criticality: int


class _Pairs(NamedTuple):
    """The nodes of pairs, and the side of each."""

    source: Numbers
    target: Numbers
    side: NDArray[np.uint8]

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(self.source[places], self.target[places], self.side[places])


def list_drift(graph: DependencyGraph, question: DriftQuestion) -> DriftPage:
    """
    List a page of the pairs that drift. Raises ``UnknownServiceError``.

    O(V log V + E), or the degree of the requested service instead of E. Kernels and sorting let
    other threads run. May run beside readers.
    """
    order = NameOrder.of(graph)
    if question.service is None:
        pairs, total = _all_pairs(graph, question, order)
    else:
        pairs = _pairs_of(graph, question, graph.node(question.service))
        total = len(pairs.source)
    if question.after is not None:
        pairs = _after(graph, pairs, question.after, order)
    page = pairs.at(np.lexsort((order.rank[pairs.target], order.rank[pairs.source]))[: question.most])
    return DriftPage(
        _drifts(graph, page, question),
        total,
        len(pairs.source) > len(page.source),
        **_counts(graph, question),
    )


def _counts(graph: DependencyGraph, question: DriftQuestion) -> dict[str, int]:
    """Count in the whole graph. O(V + E)."""
    allowed = ALL_FLAGS & ~STALE if question.ignore_stale else ALL_FLAGS
    declared = passing_edges(graph, EdgeFilter(allowed & ~_SOURCES_OF[OBSERVED]))
    observed = passing_edges(graph, EdgeFilter(allowed & ~_SOURCES_OF[DECLARED]))
    counts = {"declared": int(np.count_nonzero(declared)), "observed": int(np.count_nonzero(observed))}
    pairs = declared | observed
    # Where no edge says so, no pair has to be merged.
    if np.bitwise_or.reduce(pairs, initial=0) & UNKNOWN_BITS:
        pairs = effective_edges(graph, EdgeFilter(allowed))
    counts["of_unknown_mode"] = int(np.count_nonzero(pairs & UNKNOWN_MODE_BIT))
    counts["of_unknown_criticality"] = int(np.count_nonzero(pairs & UNKNOWN_CRITICALITY_BIT))
    return counts


def _all_pairs(graph: DependencyGraph, question: DriftQuestion, order: NameOrder) -> tuple[_Pairs, int]:
    """Gather the pairs of callers from ``after`` on, enough for a page; and count all pairs."""
    index = graph.index
    counts = np.empty(len(index.nodes), np.int32)
    sides: NDArray[np.uint8] = np.zeros(len(index.nodes), np.uint8)
    wanted = question.part, question.sides, question.shut(graph)
    total = kernels.count_drift.run(index.nodes, index.pool, *wanted, sides, counts)
    begin = 0 if question.after is None else order.place(graph, question.after[0])
    callers = order.nodes[begin:]
    # The first may have no pair after ``after``; one more pair shows that there is another page.
    callers = callers[np.flatnonzero(counts[callers])[: question.most + 2]]
    return _gathered(graph, question, callers, OUT), total


def _pairs_of(graph: DependencyGraph, question: DriftQuestion, node: int) -> _Pairs:
    """Gather the pairs of one service, as caller and as callee."""
    both = [_gathered(graph, question, np.array([node], np.int32), side) for side in (OUT, IN)]
    return _Pairs(*map(np.concatenate, zip(*both, strict=True)))


def _gathered(graph: DependencyGraph, question: DriftQuestion, chosen: Numbers, side: int) -> _Pairs:
    index = graph.index
    room = int(index.nodes[chosen, side + question.part].sum())
    near, far, drift = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
    sides: NDArray[np.uint8] = np.zeros(len(index.nodes), np.uint8)
    wanted = side, question.part, question.sides, question.shut(graph)
    count = kernels.gather_drift.run(index.nodes, index.pool, chosen, *wanted, sides, near, far, drift)
    source, target = (near, far) if side == OUT else (far, near)
    return _Pairs(source[:count], target[:count], drift[:count])


def _after(graph: DependencyGraph, pairs: _Pairs, after: tuple[str, str], order: NameOrder) -> _Pairs:
    """Leave out the pairs up to ``after``, whose services may not exist any more."""
    begins = order.place(graph, after[0])
    # The ranks of the first services with greater names.
    source, target = (order.place(graph, name) + graph.has_service(name) for name in after)
    ranks = order.rank[pairs.source]
    return pairs.at((ranks >= source) | ((ranks >= begins) & (order.rank[pairs.target] >= target)))


def _drifts(graph: DependencyGraph, page: _Pairs, question: DriftQuestion) -> list[Drift]:
    digraph, ignored = graph.digraph, STALE if question.ignore_stale else 0
    drifts = []
    columns = page.source.tolist(), page.target.tolist(), page.side.tolist()
    for source, target, side, found in zip(*columns, _records(graph, page, question), strict=True):
        found.sort(key=lambda record: record.flags & SOURCES)
        present = [record for record in found if not record.flags & ignored]
        stale = [record for record in found if record.flags & ignored]
        gone = [record for record in stale if kernels.side_of(record.flags) != side]
        drifts.append(Drift(side, digraph[source].name, digraph[target].name, present, gone))
    return drifts


def _records(graph: DependencyGraph, page: _Pairs, question: DriftQuestion) -> list[list[DependencyRecord]]:
    """Look up all dependencies of each pair, including stale ones."""
    records: list[list[DependencyRecord]] = [[] for _ in range(len(page.source))]
    if question.service is None:
        sides = [(OUT, np.arange(len(page.source)))]
    else:
        calls = page.source == graph.node(question.service)
        sides = [(OUT, np.flatnonzero(calls)), (IN, np.flatnonzero(~calls))]
    record_of = graph.digraph.get_edge_data_by_index
    for side, chosen in sides:
        near, far = page.source[chosen], page.target[chosen]
        edges, pairs = _edges(graph, side, *((near, far) if side == OUT else (far, near)))
        for edge, place in zip(edges.tolist(), chosen[pairs].tolist(), strict=True):
            records[place].append(record_of(edge))
    return records


def _edges(graph: DependencyGraph, side: int, near: Numbers, far: Numbers) -> tuple[Numbers, Numbers]:
    index = graph.index
    room = int(index.nodes[np.unique(near), side + COUNT].sum()) if len(near) else 0
    found, pair = np.empty(room, np.int32), np.empty(room, np.int32)
    marks = np.full(len(index.nodes), -1, np.int32)
    count = kernels.gather_edges.run(index.nodes, index.pool, side, near, far, marks, found, pair)
    return found[:count], pair[:count]
