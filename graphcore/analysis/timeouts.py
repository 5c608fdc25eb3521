"""
Timeouts that do not shrink along a path of calls.

Who waits for a callee at least as long as its own caller waits for it goes on working for somebody who has given up. Each two dependencies a → b and b → c
are a pair, b → a after a → b among them. A hub has as many pairs as the product of its degrees, so pairs are counted in sorted rows, and only
those that are listed are made.
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
    """Two dependencies in a row, and by how many milliseconds (≥ 0) the timeout of the second is larger."""

    caller: DependencyRecord
    callee: DependencyRecord
    excess: int


@dataclass(frozen=True, slots=True)
class TimeoutReport:
    """The worst pairs, largest excess first, then by the names of caller, service and callee; ``count`` of all pairs."""

    worst: list[GrownTimeout]
    count: int


class _Rows(NamedTuple):
    """
    Calls with a timeout, in rows of their own.

    ``values`` are the timeouts of a node's calls in rows, rising, ``places`` what call each belongs to; ``callers`` are the calls
    whose callees are looked at, with their timeouts ``limits`` and the nodes they lead to, ``middles``.
    """

    start: NDArray[np.int32]
    values: _Longs
    places: _Longs
    callers: _Longs
    limits: _Longs
    middles: NDArray[np.int32]

    def first_with(self, chosen: _Longs, excess: int) -> _Longs:
        """Find for some callers the first place in the row of their callees with at least so much more than their own timeout."""
        found = np.empty(len(chosen), np.int64)
        rows, wanted = self.middles[chosen], self.limits[chosen] + excess
        kernels.lower_bounds.run(self.start, self.values, rows, wanted, found)
        return found

    def ends(self, chosen: _Longs) -> _Longs:
        """Tell for some callers where the row of their callees ends."""
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
    Find the pairs of calls whose second timeout is at least as large as the first; ``begin`` keeps those whose first call comes from this node.

    ``timeouts`` stand beside the calls, 0 = not known. O(E log E + most²), however many pairs there are.
    """
    rows = _rows(calls, timeouts, begin)
    everyone = np.arange(len(rows.callers))
    ends = rows.ends(everyone)
    above = ends - rows.first_with(everyone, 0)
    count = int(above.sum())
    if not count:
        return TimeoutReport([], 0)
    widest = np.full(len(everyone), -1, np.int64)
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
    # Both numbers take 31 bits at most: sorting one number is several times as quick as sorting two columns.
    places = timed[np.argsort(sources.astype(np.int64) << 31 | timeouts[timed])]
    start = np.searchsorted(sources, np.arange(len(calls.start))).astype(np.int32)
    callers = timed if begin is None else timed[sources == begin]
    return _Rows(start, timeouts[places], places, callers, timeouts[callers], calls.target[callers])


def _least_listed(rows: _Rows, above: _Longs, widest: _Longs, most: int) -> int:
    """
    Find the excess of the last pair that is listed, the ``most``-th of all.

    The callers with the largest excesses have as many pairs with these alone, so no pair of another caller comes before.
    """
    callers = np.arange(len(widest))
    if len(callers) > most:
        callers = np.argpartition(widest, -most)[-most:]
    numbers = np.minimum(above[callers], most)
    found = _spread(rows.ends(callers) - numbers, numbers)
    excess = rows.values[found] - np.repeat(rows.limits[callers], numbers)
    return int(np.partition(excess, -most)[-most])


def _ties(rows: _Rows, calls: SyncCalls, order: NameOrder, excess: int, wanted: int) -> tuple[_Longs, _Longs]:
    """List pairs with exactly this excess: at least ``wanted`` of them, or all, and with each all that come before it by name."""
    everyone = np.arange(len(rows.callers))
    numbers = rows.first_with(everyone, excess + 1) - rows.first_with(everyone, excess)
    callers = np.flatnonzero(numbers)
    places = rows.callers[callers]
    size = len(order.rank)
    names = order.rank[calls.source[places]].astype(np.int64) * size + order.rank[calls.target[places]]
    if len(callers) > wanted > 0:
        few = names <= np.partition(names, wanted - 1)[wanted - 1]
        callers, names = callers[few], names[few]
    by_name = np.argsort(names)
    callers, names = callers[by_name], names[by_name]
    # Callers of one service may have several dependencies on it, whose pairs stand between one another.
    enough = int(np.searchsorted(np.cumsum(numbers[callers]), wanted))
    if enough < len(callers):
        callers = callers[names <= names[enough]]
    return _pairs(rows, callers, excess, excess + 1)


def _pairs(rows: _Rows, callers: _Longs, least: int, below: int | None) -> tuple[_Longs, _Longs]:
    """List the pairs of some callers with at least this excess, and less than ``below``: the places of both calls."""
    first = rows.first_with(callers, least)
    ends = rows.ends(callers) if below is None else rows.first_with(callers, below)
    numbers = ends - first
    return np.repeat(rows.callers[callers], numbers), rows.places[_spread(first, numbers)]


def _spread(first: _Longs, numbers: _Longs) -> _Longs:
    """Count on from each first number so many times."""
    begins = np.cumsum(numbers) - numbers
    return np.repeat(first - begins, numbers) + np.arange(int(numbers.sum()))


def _keys(
    calls: SyncCalls, order: NameOrder, caller: _Longs, callee: _Longs
) -> tuple[NDArray[np.int32], ...]:
    """Give what sorts pairs of one excess, the last column first: names, then the sources that know of the dependencies."""
    rank = order.rank
    return (
        calls.origin[callee],
        calls.origin[caller],
        rank[calls.target[callee]],
        rank[calls.target[caller]],
        rank[calls.source[caller]],
    )
