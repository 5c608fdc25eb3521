"""
Retries that multiply along a path of calls.

A caller retries a failed call, and its own caller retries too: the last service of a path may get
the product of all attempts for one call of the first. The search is, for each service, for the path
from there with the largest product.

That is as hard as a longest path. The best *walk* of so many hops, which may visit a service twice,
is found quickly for all services at once. It is an upper bound, and mostly a path. If it is not, a
bounded search for paths decides.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.edge_selection import SyncCalls
from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.name_order import NameOrder
from graphcore.graph.records import DependencyRecord, ServiceRecord
from graphcore.kernels import retries as kernels
from graphcore.kernels import retry_search

MOST_STEPS = 30_000_000
"""Calls that all searches of an audit may read: about 0.25 s."""

_SHARE = 16
"""A search may use this share, 1/n, of the budget that is left."""
_BATCH = 256
_LEDGER = 3
_STACK = 3


class RetriedPath(NamedTuple):
    """A path: its services, the dependencies between them, and the product of their attempts."""

    services: list[ServiceRecord]
    dependencies: list[DependencyRecord]
    attempts: int


@dataclass(frozen=True, slots=True)
class RetryReport:
    """
    The worst paths, most attempts first, then by the name of the first service.

    ``count``: services from which a path exceeds the limit. ``truncated``: a search ended early, so
    there may be worse paths, or shorter ones as bad.
    """

    worst: list[RetriedPath]
    count: int
    truncated: bool


class _Calls(NamedTuple):
    """The call with most attempts of each pair, by caller, then by the names of the callees."""

    start: NDArray[np.int32]
    target: NDArray[np.int32]
    attempts: NDArray[np.int64]
    edge: NDArray[np.int32]


def worst_retries(
    graph: DependencyGraph,
    calls: SyncCalls,
    attempts: NDArray[np.int64],
    order: NameOrder,
    *,
    begin: int | None,
    max_hops: int,
    max_attempts: int,
    most: int,
) -> RetryReport:
    """
    Find the worst path of up to ``max_hops`` calls from each service, if over ``max_attempts``.

    Of equal products, the shortest path counts, then the first by names. ``begin``: only this node.
    ``attempts`` are those of the calls; products are capped at 2⁶³ - 1. O(E log E + hops (V + E))
    and the searches.
    """
    if not len(attempts) or attempts.max() <= 1 or max_attempts >= kernels.MOST:
        return RetryReport([], 0, truncated=False)
    rows = _strongest(calls, attempts, order)
    search = _Search(rows, max_hops, begin, max_attempts)
    search.decide()
    search.rank(most)
    chosen = search.worst(order, most)
    search.shorten(chosen)
    # A search that was given up before may have found a worse path now.
    chosen = chosen[np.argsort(-search.products[chosen], kind="stable")]
    worst = [search.path(graph, number) for number in chosen.tolist()]
    return RetryReport(worst, search.count, truncated=bool(search.given_up.any()))


def _strongest(calls: SyncCalls, attempts: NDArray[np.int64], order: NameOrder) -> _Calls:
    count = len(calls.start) - 1
    start, kept = np.empty_like(calls.start), np.empty_like(calls.target)
    latest: NDArray[np.int32] = np.full(count, -1, np.int32)
    found = kernels.strongest_calls.run(
        calls.start, calls.target, attempts, calls.origin, latest, start, kept
    )
    kept = kept[:found]
    by_name = calls.source[kept].astype(np.int64) * count + order.rank[calls.target[kept]]
    kept = kept[np.argsort(by_name)]
    return _Calls(start, calls.target[kept], attempts[kept], calls.edge[kept])


class _Search:
    """
    The candidates: nodes with an upper bound above ``max_attempts``, and columns by candidate.

    ``products``: of the best known paths, which ``paths`` and ``lengths`` hold as indices of calls.
    ``limits``: upper bounds.
    """

    def __init__(self, rows: _Calls, max_hops: int, begin: int | None, max_attempts: int) -> None:
        count = len(rows.start) - 1
        bounds = np.empty((max_hops + 1, count, 2), np.int64)
        ways = np.empty((max_hops + 1, count, 3), np.int32)
        kernels.bound_walks.run(rows.start, rows.target, rows.attempts, bounds, ways)
        limits = bounds[max_hops, :, kernels.BEST]
        begins = np.flatnonzero(limits > max_attempts) if begin is None else np.array([begin])
        self.max_attempts = max_attempts
        self.begins = begins.astype(np.int32)
        self.limits = limits[begins]
        self.products = np.empty(len(begins), np.int64)
        self.paths = np.empty((len(begins), max_hops), np.int32)
        self.lengths = np.empty(len(begins), np.int32)
        self.given_up: NDArray[np.uint8] = np.zeros(len(begins), np.uint8)
        self._rows = rows
        self._walks = rows.target, rows.attempts, bounds, ways, self.begins
        ledger: NDArray[np.int64] = np.zeros(_LEDGER, np.int64)
        ledger[retry_search.LEFT] = budget(MOST_STEPS)
        stack = np.empty((_STACK, max_hops + 1), np.int64)
        self._scratch = ledger, stack, np.empty(max_hops, np.int32)
        kernels.follow_walks.run(*self._walks, stack, self.products, self.paths, self.lengths)

    @property
    def count(self) -> int:
        """Number of candidates with a known path above the limit."""
        return int(np.count_nonzero(self.products > self.max_attempts))

    def decide(self) -> None:
        """Decide for each candidate whether it has a path above the limit."""
        undecided = (self.products <= self.max_attempts) & (self.limits > self.max_attempts)
        self._improve(np.flatnonzero(undecided), self.max_attempts + 1)

    def rank(self, most: int) -> None:
        """Find the exact product of each candidate that may be among the ``most`` worst."""
        open_ones = np.flatnonzero(
            (self.products > self.max_attempts) & (self.products < self.limits) & (self.given_up == 0)
        )
        open_ones = open_ones[np.argsort(-self.limits[open_ones], kind="stable")]
        for first in range(0, len(open_ones), _BATCH):
            batch = open_ones[first : first + _BATCH]
            batch = batch[self.limits[batch] >= self._least(most)]
            if not len(batch):
                return
            self._improve(batch, kernels.MOST)

    def worst(self, order: NameOrder, most: int) -> NDArray[np.int64]:
        """Choose the worst candidates above the limit, most attempts first, then by name."""
        over = np.flatnonzero(self.products > self.max_attempts)
        return over[np.lexsort((order.rank[self.begins[over]], -self.products[over]))[:most]]

    def shorten(self, chosen: NDArray[np.int64]) -> None:
        """Find the shortest path with the product of each candidate, then the first by names."""
        found = self.products, self.paths, self.lengths, self.given_up
        retry_search.shorten_paths.run(
            self._rows.start, *self._walks, chosen.astype(np.int32), _SHARE, *found, *self._scratch
        )

    def path(self, graph: DependencyGraph, number: int) -> RetriedPath:
        places, digraph = self.paths[number, : self.lengths[number]], graph.digraph
        nodes = [int(self.begins[number]), *self._rows.target[places].tolist()]
        dependencies = map(digraph.get_edge_data_by_index, self._rows.edge[places].tolist())
        services = [digraph[node] for node in nodes]
        return RetriedPath(services, list(dependencies), int(self.products[number]))

    def _least(self, most: int) -> int:
        """Return the product of the last candidate that would be listed."""
        if self.count <= most:
            return 0
        return int(np.partition(self.products, -most)[-most])

    def _improve(self, chosen: NDArray[np.int64], enough: int) -> None:
        found = self.products, self.limits, self.paths, self.lengths, self.given_up
        retry_search.search_paths.run(
            self._rows.start, *self._walks, chosen.astype(np.int32), enough, _SHARE, *found, *self._scratch
        )
