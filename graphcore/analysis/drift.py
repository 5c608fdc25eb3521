"""
Drift: dependencies declared but not observed, observed but not declared, or contradicted.

Manual entries, catalogues and Kubernetes manifests declare; traces and service meshes observe. A
pair of services drifts if all dependencies from the one to the other are on one side, or if their
sources contradict each other: they name different modes or criticalities. UNKNOWN contradicts
nothing. Dangling dependencies don't count.
"""

from collections.abc import Sequence
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
from graphcore.kernels.drift import CONTRADICTED, DECLARED, OBSERVED

__all__ = ["CONTRADICTED", "DECLARED", "OBSERVED", "Drift", "DriftPage", "DriftQuestion", "list_drift"]

_SOURCES_OF = {
    DECLARED: int(EdgeFlag.MANUAL | EdgeFlag.KUBERNETES | EdgeFlag.CATALOG),
    OBSERVED: int(EdgeFlag.OTEL_SERVICE_GRAPH | EdgeFlag.SERVICE_MESH),
}


@dataclass(frozen=True, slots=True)
class DriftQuestion:
    """
    Which drift, and which page of it.

    ``kinds``: DECLARED for declared but not observed, OBSERVED for the opposite, their sum for
    both; CONTRADICTED for contradictions, alone. ``service``: only pairs with this service;
    ``among``: only pairs with one of these nodes. ``sources``: only pairs with a dependency of one
    of these discovery sources. ``ignore_stale``: stale dependencies don't count. Pairs with another
    service of ``excluded_kinds`` are left out. ``most`` pairs are listed, from the first after
    ``after``, the names of a pair.
    """

    kinds: int = DECLARED | OBSERVED
    service: str | None = None
    ignore_stale: bool = False
    after: tuple[str, str] | None = None
    most: int = 100
    excluded_kinds: int = 0
    sources: int = SOURCES
    among: Sequence[int] | None = None

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
    A pair of services, by name and by node, that drifts.

    ``kind``: the side that there is, DECLARED or OBSERVED, or CONTRADICTED. ``present``: its
    dependencies. ``gone``: stale ones of the other side, if stale ones are ignored. Both by
    discovery source.
    """

    kind: int
    source: str
    target: str
    nodes: tuple[int, int]
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
    """The nodes of pairs, and the kind of each."""

    source: Numbers
    target: Numbers
    kind: NDArray[np.uint8]

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> "_Pairs":
        return _Pairs(self.source[places], self.target[places], self.kind[places])


def list_drift(graph: DependencyGraph, question: DriftQuestion) -> DriftPage:
    """
    List a page of the pairs that drift. Raises ``UnknownServiceError``.

    O(V log V + E), or the degrees of the requested services instead of E. Kernels and sorting let
    other threads run. May run beside readers.
    """
    order = NameOrder.of(graph)
    if question.service is None and question.among is None:
        pairs, total = _all_pairs(graph, question, order)
    else:
        pairs = _chosen_pairs(graph, question)
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
    joined: Numbers = np.zeros(len(index.nodes), np.int32)
    wanted = question.part, question.kinds, question.sources, question.shut(graph)
    total = kernels.count_drift.run(index.nodes, index.pool, *wanted, joined, counts)
    begin = 0 if question.after is None else order.place(graph, question.after[0])
    callers = order.nodes[begin:]
    # The first may have no pair after ``after``; one more pair shows that there is another page.
    callers = callers[np.flatnonzero(counts[callers])[: question.most + 2]]
    return _gathered(graph, question, callers, OUT), total


def _chosen_pairs(graph: DependencyGraph, question: DriftQuestion) -> _Pairs:
    """Gather the pairs of the requested service, or of all services that are asked for."""
    is_among: NDArray[np.uint8] = np.zeros(len(graph.index.nodes), np.uint8)
    if question.among is not None:
        is_among[list(question.among)] = 1
    if question.service is not None:
        pairs = _pairs_of(graph, question, np.array([graph.node(question.service)], np.int32))
        if question.among is None:
            return pairs
        return pairs.at((is_among[pairs.source] | is_among[pairs.target]) != 0)
    is_among[question.shut(graph) != 0] = 0
    return _pairs_of(graph, question, np.flatnonzero(is_among).astype(np.int32))


def _pairs_of(graph: DependencyGraph, question: DriftQuestion, chosen: Numbers) -> _Pairs:
    """Gather the pairs of services, as callers and as callees, each once."""
    calls = _gathered(graph, question, chosen, OUT)
    called = _gathered(graph, question, chosen, IN)
    called = called.at(~np.isin(called.source, chosen))
    return _Pairs(
        np.concatenate((calls.source, called.source)),
        np.concatenate((calls.target, called.target)),
        np.concatenate((calls.kind, called.kind)),
    )


def _gathered(graph: DependencyGraph, question: DriftQuestion, chosen: Numbers, side: int) -> _Pairs:
    index = graph.index
    room = int(index.nodes[chosen, side + question.part].sum())
    near, far, drift = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
    joined: Numbers = np.zeros(len(index.nodes), np.int32)
    wanted = side, question.part, question.kinds, question.sources, question.shut(graph)
    count = kernels.gather_drift.run(index.nodes, index.pool, chosen, *wanted, joined, near, far, drift)
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
    columns = page.source.tolist(), page.target.tolist(), page.kind.tolist()
    for source, target, kind, found in zip(*columns, _records(graph, page, question), strict=True):
        found.sort(key=lambda record: record.flags & SOURCES)
        present = [record for record in found if not record.flags & ignored]
        stale = [record for record in found if record.flags & ignored]
        other = [record for record in stale if kernels.side_of(record.flags) != kind]
        gone = [] if kind == CONTRADICTED else other
        names = digraph[source].name, digraph[target].name
        drifts.append(Drift(kind, *names, (source, target), present, gone))
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
