"""
Timeouts that do not shrink along a path of calls.

A service that waits for its callee at least as long as its own caller waits keeps working after the
caller gave up. Each two dependencies a → b and b → c form a pair, including a → b and b → a. A hub
has as many pairs as the product of its degrees, so pairs are counted in sorted rows, and only those
that are listed are built.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.sync_calls import SyncCalls
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.name_order import NameOrder
from graphcore.graph.records import DependencyRecord
from graphcore.kernels import audits as kernels

_Longs = NDArray[np.int64]


class GrownTimeout(NamedTuple):
    """Two successive dependencies; the timeout of the second is larger by ``excess`` ≥ 0 ms."""

    caller: DependencyRecord
    callee: DependencyRecord
    excess: int


@dataclass(frozen=True, slots=True)
class TimeoutReport:
    """
    The pairs with the largest excess, then by names of caller, service and callee.

    ``count`` of all.
    """

    worst: list[GrownTimeout]
    count: int


class _Rows(NamedTuple):
    """
    Calls with a timeout, by caller.

    ``values``: timeouts, rising within the row of a node; ``places``: the call of each.
    ``callers``: the calls that may be first in a pair, with their timeouts ``limits`` and callees
    ``middles``.
    """

    start: NDArray[np.int32]
    values: _Longs
    places: _Longs
    callers: _Longs
    limits: _Longs
    middles: NDArray[np.int32]

    def first_with(self, chosen: _Longs, excess: int) -> _Longs:
        """Find the first place in the row of each caller's callee with at least this excess."""
        found = np.empty(len(chosen), np.int64)
        rows, wanted = self.middles[chosen], self.limits[chosen] + excess
        kernels.lower_bounds.run(self.start, self.values, rows, wanted, found)
        return found

    def ends(self, chosen: _Longs) -> _Longs:
        """Return where the row of each caller's callee ends."""
        return self.start[self.middles[chosen] + 1].astype(np.int64)


def grown_timeouts(
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
    excess = timeouts[callee] - timeouts[caller]
    keys = _keys(calls, order, caller, callee)
    chosen = np.lexsort((*keys, -excess))[:most]
    record_of = graph.digraph.get_edge_data_by_index
    worst = [
        GrownTimeout(record_of(first), record_of(second), more)
        for first, second, more in zip(
            calls.edge[caller[chosen]].tolist(),
            calls.edge[callee[chosen]].tolist(),
            excess[chosen].tolist(),
            strict=True,
        )
    ]
    return TimeoutReport(worst, count)


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

    The ``most`` callers with the largest excess have at least as many pairs, so no other caller
    counts.
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


def _keys(
    calls: SyncCalls, order: NameOrder, caller: _Longs, callee: _Longs
) -> tuple[NDArray[np.int32], ...]:
    """Return the sort keys of pairs of equal excess, least significant first."""
    rank = order.rank
    return (
        calls.origin[callee],
        calls.origin[caller],
        rank[calls.target[callee]],
        rank[calls.target[caller]],
        rank[calls.source[caller]],
    )
