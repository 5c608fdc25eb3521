"""
Audits of call paths: timeouts that do not shrink, and retries that multiply.

The caller reads timeouts and retries out of the payloads (``CallPolicies``). Only synchronous
dependencies count, because only their callers wait; those of unknown mode are counted apart.

A service that waits for its callee at least as long as its own caller waits keeps working after the
caller gave up. Each two dependencies a → b and b → c form a pair, including a → b and b → a. A hub
has as many pairs as the product of its degrees, so pairs are counted in sorted rows, and only those
that are listed are built.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.edge_selection import (
    CallPolicies,
    SyncCalls,
    effective_edges,
    merged_policies,
    passing_edges,
)
from graphcore.analysis.retries import RetryReport, worst_retries
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter, EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.graph.records import DependencyRecord
from graphcore.kernels import UNKNOWN_MODE_BIT
from graphcore.kernels import audits as kernels
from graphcore.traversal import FRESH

_LEAST_HOPS = 2
_SYNC = int(EdgeFlag.SYNC)
_Longs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PathAuditQuestion:
    """
    What to audit, and what is too much.

    ``service``: only paths that begin at this service. Retries multiply along paths of up to
    ``max_hops`` calls; more than ``max_attempts`` are too many. ``most`` findings of each kind are
    listed. ``effective``: one dependency for each pair, with the timeout and retries of the first
    source that knows them (``graphcore.analysis.edge_selection``).
    """

    service: str | None = None
    max_hops: int = 5
    max_attempts: int = 10
    most: int = 100
    edge_filter: EdgeFilter = FRESH
    effective: bool = False

    @property
    def of_sync_calls(self) -> EdgeFilter:
        """The filter, restricted to dependencies that are synchronous or of unknown mode."""
        return replace(self.edge_filter, allowed=self.edge_filter.allowed & ~int(EdgeFlag.ASYNC))


class GrownTimeout(NamedTuple):
    """Two successive dependencies; the timeout of the second is larger by ``excess`` ≥ 0 ms."""

    caller: DependencyRecord
    callee: DependencyRecord
    excess: int


@dataclass(frozen=True, slots=True)
class TimeoutReport:
    """The pairs with the largest excess, then by names; ``count`` is that of all pairs."""

    worst: list[GrownTimeout]
    count: int


@dataclass(frozen=True, slots=True)
class PathAudit:
    """
    The findings of both kinds.

    ``dependencies`` synchronous ones were audited; of these, ``with_timeout`` have a timeout and
    ``with_retries`` a retry configuration. ``of_unknown_mode`` more would be if they were
    synchronous.
    """

    timeouts: TimeoutReport
    retries: RetryReport
    dependencies: int
    with_timeout: int
    with_retries: int
    of_unknown_mode: int


def audit_paths(graph: DependencyGraph, question: PathAuditQuestion, policies: CallPolicies) -> PathAudit:
    """
    Find timeouts that do not shrink along a path, and retries that multiply.

    Raises ``UnknownServiceError``. O(E log E + hops (V + E)) and a bounded search for paths; less
    for one service. May run beside readers.
    """
    begin = None if question.service is None else graph.node(question.service)
    wanted = question.of_sync_calls
    named = () if begin is None else (begin,)
    mask = (effective_edges if question.effective else passing_edges)(graph, wanted, named)
    hops = max(question.max_hops, _LEAST_HOPS)
    of_unknown_mode = _count_unknown(graph, mask, begin, hops)
    mask[mask & _SYNC == 0] = 0
    calls = SyncCalls.of(graph, mask, begin, hops)
    if question.effective:
        timeouts, attempts = merged_policies(graph, calls.edge, wanted, policies)
    else:
        timeouts, attempts = policies(graph.dependency_payloads, calls.edge)
    order = NameOrder.of(graph)
    return PathAudit(
        _grown_timeouts(graph, calls, timeouts, order, begin=begin, most=question.most),
        worst_retries(
            graph,
            calls,
            np.maximum(attempts, 1),
            order,
            begin=begin,
            max_hops=question.max_hops,
            max_attempts=question.max_attempts,
            most=question.most,
        ),
        dependencies=len(calls.edge),
        with_timeout=int(np.count_nonzero(timeouts)),
        with_retries=int(np.count_nonzero(attempts)),
        of_unknown_mode=of_unknown_mode,
    )


def _count_unknown(graph: DependencyGraph, mask: NDArray[np.uint8], begin: int | None, hops: int) -> int:
    """Count the edges of unknown mode in ``mask``; with ``begin`` those within ``hops`` from it."""
    unknown = mask & UNKNOWN_MODE_BIT
    if begin is not None and unknown.any():
        unknown = unknown[SyncCalls.of(graph, mask, begin, hops).edge]
    return int(np.count_nonzero(unknown))


class _Rows(NamedTuple):
    """Calls with a timeout: those of node n are ``values[start[n]:start[n + 1]]``."""

    start: NDArray[np.int32]
    values: _Longs
    """Timeouts, rising within each row."""
    places: _Longs
    """The call of each timeout."""
    callers: _Longs
    """The calls that may be first in a pair."""
    limits: _Longs
    """Their timeouts."""
    middles: NDArray[np.int32]
    """Their callees."""

    def first_with(self, chosen: _Longs, excess: int) -> _Longs:
        """Find the first place in the row of each caller's callee with at least this excess."""
        found = np.empty(len(chosen), np.int64)
        rows, wanted = self.middles[chosen], self.limits[chosen] + excess
        kernels.lower_bounds.run(self.start, self.values, rows, wanted, found)
        return found

    def ends(self, chosen: _Longs) -> _Longs:
        """Return where the row of each caller's callee ends."""
        return self.start[self.middles[chosen] + 1].astype(np.int64)


def _grown_timeouts(
    graph: DependencyGraph,
    calls: SyncCalls,
    timeouts: _Longs,
    order: NameOrder,
    *,
    begin: int | None,
    most: int,
) -> TimeoutReport:
    """
    Find the pairs of calls whose second timeout is at least as large as the first.

    ``timeouts`` are those of the calls, 0: unknown. ``begin``: only pairs whose first call is made
    by this node. O(E log E + most²), however many pairs there are.
    """
    rows = _rows(calls, timeouts, begin)
    all_callers = np.arange(len(rows.callers))
    ends = rows.ends(all_callers)
    above = ends - rows.first_with(all_callers, 0)
    count = int(above.sum())
    if not count:
        return TimeoutReport([], 0)
    widest = np.full(len(all_callers), -1, np.int64)
    some = above > 0
    widest[some] = rows.values[ends[some] - 1] - rows.limits[some]
    least = 0 if count <= most else _least_listed(rows, above, widest, most)
    pairs = _pairs(rows, np.flatnonzero(widest > least), least + 1, None)
    ties = _ties(rows, calls, order, least, most - len(pairs[0]))
    caller, callee = (np.concatenate(ends) for ends in zip(pairs, ties, strict=True))
    excess, rank = timeouts[callee] - timeouts[caller], order.rank
    names = [rank[part] for part in (calls.target[callee], calls.target[caller], calls.source[caller])]
    # The least significant key is first.
    chosen = np.lexsort((calls.origin[callee], calls.origin[caller], *names, -excess))[:most]
    records = [
        map(graph.digraph.get_edge_data_by_index, calls.edge[side[chosen]].tolist())
        for side in (caller, callee)
    ]
    return TimeoutReport(list(map(GrownTimeout, *records, excess[chosen].tolist())), count)


def _rows(calls: SyncCalls, timeouts: _Longs, begin: int | None) -> _Rows:
    timed = np.flatnonzero(timeouts > 0)
    sources = calls.source[timed]
    # Both have 31 bits at most: to sort a single number is several times faster than two columns.
    places = timed[np.argsort(sources.astype(np.int64) << 31 | timeouts[timed])]
    start = np.searchsorted(sources, np.arange(len(calls.start))).astype(np.int32)
    callers = timed if begin is None else timed[sources == begin]
    return _Rows(start, timeouts[places], places, callers, timeouts[callers], calls.target[callers])


def _least_listed(rows: _Rows, above: _Longs, widest: _Longs, most: int) -> int:
    """
    Find the excess of the last pair listed, the ``most``-th of all.

    The ``most`` callers with the largest excess have as many pairs, so no other caller counts.
    """
    callers = np.arange(len(widest))
    if len(callers) > most:
        callers = np.argpartition(widest, -most)[-most:]
    numbers = np.minimum(above[callers], most)
    found = _spread(rows.ends(callers) - numbers, numbers)
    excess = rows.values[found] - np.repeat(rows.limits[callers], numbers)
    return int(np.partition(excess, -most)[-most])


def _ties(rows: _Rows, calls: SyncCalls, order: NameOrder, excess: int, wanted: int) -> tuple[_Longs, _Longs]:
    """List pairs with exactly this excess: the first ``wanted`` by name, and possibly more."""
    all_callers = np.arange(len(rows.callers))
    numbers = rows.first_with(all_callers, excess + 1) - rows.first_with(all_callers, excess)
    callers = np.flatnonzero(numbers)
    places = rows.callers[callers]
    size = len(order.rank)
    names = order.rank[calls.source[places]].astype(np.int64) * size + order.rank[calls.target[places]]
    if len(callers) > wanted > 0:
        few = names <= np.partition(names, wanted - 1)[wanted - 1]
        callers, names = callers[few], names[few]
    by_name = np.argsort(names)
    callers, names = callers[by_name], names[by_name]
    # Parallel dependencies of a caller have the same names: keep all of them.
    enough = int(np.searchsorted(np.cumsum(numbers[callers]), wanted))
    if enough < len(callers):
        callers = callers[names <= names[enough]]
    return _pairs(rows, callers, excess, excess + 1)


def _pairs(rows: _Rows, callers: _Longs, least: int, below: int | None) -> tuple[_Longs, _Longs]:
    """List the calls of pairs with an excess of at least ``least`` and less than ``below``."""
    first = rows.first_with(callers, least)
    ends = rows.ends(callers) if below is None else rows.first_with(callers, below)
    numbers = ends - first
    return np.repeat(rows.callers[callers], numbers), rows.places[_spread(first, numbers)]


def _spread(first: _Longs, numbers: _Longs) -> _Longs:
    """Concatenate the ranges ``first[i] : first[i] + numbers[i]``."""
    begins = np.cumsum(numbers) - numbers
    return np.repeat(first - begins, numbers) + np.arange(int(numbers.sum()))
