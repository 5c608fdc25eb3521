"""Which pairs of a component to cut: the search for cheap ones, on numbers alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.pairs import Pairs
from graphcore.compiled import Kernel
from graphcore.kernels.cuts import exact, exchange, greedy, improve, needed, witness
from graphcore.kernels.cuts.layout import CHANCE, COUNTERS, WORK

EXACT_SIZE = 15
"""Up to so many services the cheapest cuts are found: half a million steps."""

WORK_COMPILED, WORK_PLAIN = 20_000_000, 100_000
"""
How many visits of pairs the search for better orders may make, and that for cuts that are not needed, and that for ways back: a quarter of a second each on
a core of its own. Of more than ``MOST_AT_HAND`` pairs fewer visits, for each of them waits for memory.
"""

MOST_AT_HAND = 200_000

TRIES = 2_000
"""After so many disturbances in a row that led to nothing better the search ends."""

MOST_STEPS = 2_000_000
"""How many services all ways back may have together."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """
    What to cut: pairs, by number, that lead back in an order of the services, so that nothing is on a cycle without them.

    ``key[service]`` rises along that order. ``is_optimal`` says that no cheaper cuts exist.
    """

    pairs: Pairs
    cuts: NDArray[np.int64]
    key: NDArray[np.float64]
    is_optimal: bool

    @property
    def cost(self) -> int:
        """What all cuts cost, in millionths."""
        return int(self.pairs.cost[self.cuts].sum())

    def ways_back(self) -> Iterator[list[int]]:
        """
        Find for each cut a shortest way from its callee to its caller that no cut is on, as services from the one to the other.

        Empty where there is none, for the cut is not needed, or once that took too much work. O(E) a cut.
        """
        pairs, count = self.pairs, self.pairs.count
        kept = _kept(pairs, self.key)
        search, path = np.zeros((witness.SEARCH_ROWS, count), np.int32), np.empty(count, np.int32)
        counters = _counters(pairs, witness.way_back)
        steps = MOST_STEPS
        for stamp, cut in enumerate(self.cuts.tolist(), 1):
            if counters[WORK] <= 0 or steps <= 0:
                yield []
                continue
            length = witness.way_back.run(*pairs.ways, kept, self.key, search, counters, stamp, cut, path)
            steps -= length
            yield path[:length].tolist()


def cheap_cuts(pairs: Pairs) -> Cutting:
    """
    Find pairs without which no service is on a cycle: the cheapest ones for up to ``EXACT_SIZE`` services, cheap ones for more.

    The same for the same pairs, cheapest first, then by caller and callee. Each is needed, as far as the work goes that may be spent on that.
    O(2^V V) for few services, O(E log V) and a bounded number of steps for more; compiled, it lets other threads run.
    """
    is_optimal = pairs.count <= EXACT_SIZE
    key = _cheapest_order(pairs) if is_optimal else _cheap_order(pairs)
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    return Cutting(pairs, cuts[np.argsort(pairs.cost[cuts], kind="stable")], key, is_optimal)


def _cheapest_order(pairs: Pairs) -> NDArray[np.float64]:
    count = pairs.count
    order, key = np.empty(count, np.int32), np.empty(count, np.float64)
    toward, least = np.empty((count, 1 << count), np.int64), np.empty(1 << count, np.int64)
    exact.order_exactly.run(pairs.start, pairs.target, pairs.cost, toward, least, order)
    key[order] = np.arange(count)
    return key


def _cheap_order(pairs: Pairs) -> NDArray[np.float64]:
    count = pairs.count
    order, key = np.empty(count, np.int32), np.empty(count, np.float64)
    link, waiting = np.empty((2, count + 1), np.int32), np.zeros((2, count), np.int32)
    room, value = np.empty((greedy.ROOM_ROWS, count), np.int32), np.empty(count, np.int64)
    greedy.order_greedily.run(*pairs.costed, room, value, order)
    flow, search = np.empty(len(pairs.cost), np.int64), np.zeros((exchange.SEARCH_ROWS, count), np.int32)
    counters = _counters(pairs, improve.improve)
    improve.improve.run(*pairs.costed, link, key, flow, search, waiting, counters, order, TRIES)
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    dearest_first = cuts[np.argsort(-pairs.cost[cuts], kind="stable")].astype(np.int32)
    search = np.zeros((needed.SEARCH_ROWS, count), np.int32)
    needed.put_back.run(
        *pairs.ways, _kept(pairs, key), link, key, search, _counters(pairs, needed.put_back), dearest_first
    )
    return key


def _kept(pairs: Pairs, key: NDArray[np.float64]) -> NDArray[np.int8]:
    return (key[pairs.source] < key[pairs.target]).astype(np.int8)


def _counters(pairs: Pairs, kernel: Kernel) -> NDArray[np.int64]:
    """Allow as much work as a kernel may do."""
    counters: NDArray[np.int64] = np.zeros(COUNTERS, np.int64)
    work = WORK_PLAIN if kernel.run is kernel.plain else WORK_COMPILED
    counters[WORK] = work * MOST_AT_HAND // max(len(pairs.cost), MOST_AT_HAND)
    counters[CHANCE] = 1
    return counters
