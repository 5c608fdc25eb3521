"""The search for cheap cuts of a component, on numbers alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import Numbers
from graphcore.analysis.cut_pairs import Pairs
from graphcore.compiling import budget
from graphcore.kernels.cuts import exact, exchange, greedy, improve, needed, proof, witness
from graphcore.kernels.cuts.layout import CHANCE, COUNTERS, WORK

EXACT_SIZE = 15
"""Up to this many services the cheapest cuts are found: half a million steps."""

MOST_VISITS = 20_000_000
"""
Visits of pairs for each search: for better orders, for unneeded cuts, for ways back.

About 0.25 s each. With more than ``MOST_AT_HAND`` pairs fewer, because each visit waits for memory.
"""

MOST_AT_HAND = 200_000

TRIES = 2_000
"""The search ends after this many disturbances in a row without improvement."""

FIRST_SHARE = 4
"""Share of the work, 1/n, before the first attempt to prove that the cuts are the cheapest."""

MOST_STEPS = 2_000_000
"""Total length of all ways back, in services."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """
    The pairs to cut: those that lead backwards in an order of the services, so no cycle remains.

    ``key[service]`` rises along that order. ``is_optimal``: no cheaper cuts exist; if false, they
    may.
    """

    pairs: Pairs
    cuts: NDArray[np.int64]
    key: NDArray[np.float64]
    is_optimal: bool

    @property
    def cost(self) -> int:
        """Total cost in millionths."""
        return int(self.pairs.cost[self.cuts].sum())

    def ways_back(self) -> Iterator[list[int]]:
        """
        Yield for each cut a shortest path from its callee to its caller without any cut.

        Empty if there is none (the cut is not needed), or after too much work. O(E) a cut.
        """
        pairs, count = self.pairs, self.pairs.count
        kept = _kept(pairs, self.key)
        search, path = np.zeros((witness.SEARCH_ROWS, count), np.int32), np.empty(count, np.int32)
        counters = _counters(pairs)
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
    Find cheap pairs whose removal breaks all cycles.

    The cheapest for up to ``EXACT_SIZE`` services.

    Deterministic; cheapest first, then by caller and callee. Each is needed, as far as the work
    allows to check that. Cuts of many services may also be proved to be the cheapest
    (``graphcore.kernels.cuts.proof``). O(2^V V) for few services, else O(E log V) and a bounded
    number of steps. Compiled, it lets other threads run.
    """
    if pairs.count <= EXACT_SIZE:
        return _cutting(pairs, _cheapest_order(pairs), is_cheapest=True)
    order = _greedy_order(pairs)
    if len(pairs.cost) <= MOST_AT_HAND:
        # Often this is enough to prove the result.
        found = _cutting(pairs, _improved(pairs, order, tries=0))
        if found.is_optimal:
            return found
    return _cutting(pairs, _improved(pairs, order, tries=TRIES))


def _cutting(pairs: Pairs, key: NDArray[np.float64], *, is_cheapest: bool = False) -> Cutting:
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    cheapest_first = cuts[np.argsort(pairs.cost[cuts], kind="stable")]
    return Cutting(pairs, cheapest_first, key, is_cheapest or _are_proved(pairs, key, cheapest_first))


def _cheapest_order(pairs: Pairs) -> NDArray[np.float64]:
    count = pairs.count
    order, key = np.empty(count, np.int32), np.empty(count, np.float64)
    toward, least = np.empty((count, 1 << count), np.int64), np.empty(1 << count, np.int64)
    exact.order_exactly.run(pairs.start, pairs.target, pairs.cost, toward, least, order)
    key[order] = np.arange(count)
    return key


def _greedy_order(pairs: Pairs) -> Numbers:
    count = pairs.count
    order, value = np.empty(count, np.int32), np.empty(count, np.int64)
    greedy.order_greedily.run(*pairs.costed, np.empty((greedy.ROOM_ROWS, count), np.int32), value, order)
    return order


def _improved(pairs: Pairs, order: Numbers, *, tries: int) -> NDArray[np.float64]:
    """Improve ``order`` and put back cuts that are not needed; returns the keys of the services."""
    count, pair_count = pairs.count, len(pairs.cost)
    key, link = np.empty(count, np.float64), np.empty((2, count + 1), np.int32)
    flow, search = np.empty(pair_count, np.int64), np.zeros((exchange.SEARCH_ROWS, count), np.int32)
    waiting, counters = np.zeros((2, count), np.int32), _counters(pairs)
    if not tries:
        counters[WORK] //= FIRST_SHARE
    improve.improve.run(*pairs.costed, link, key, flow, search, waiting, counters, order, tries)
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    dearest_first = cuts[np.argsort(-pairs.cost[cuts], kind="stable")].astype(np.int32)
    search, counters = np.zeros((needed.SEARCH_ROWS, count), np.int32), _counters(pairs)
    needed.put_back.run(*pairs.ways, _kept(pairs, key), link, key, search, counters, dearest_first)
    return key


def _are_proved(pairs: Pairs, key: NDArray[np.float64], cuts: NDArray[np.int64]) -> bool:
    """Whether cuts can be proved to be the cheapest without trying others."""
    flow, spare = np.empty(len(pairs.cost), np.int64), np.empty(len(pairs.cost), np.int64)
    search, counters = (
        np.empty((exchange.SEARCH_ROWS, pairs.count), np.int32),
        _counters(pairs),
    )
    packed = proof.are_packed.run(*pairs.costed, key, flow, spare, search, counters, cuts.astype(np.int32))
    return bool(packed)


def _kept(pairs: Pairs, key: NDArray[np.float64]) -> NDArray[np.int8]:
    return (key[pairs.source] < key[pairs.target]).astype(np.int8)


def _counters(pairs: Pairs) -> NDArray[np.int64]:
    """Make the counters of a kernel, with the work that it may do."""
    counters: NDArray[np.int64] = np.zeros(COUNTERS, np.int64)
    counters[WORK] = budget(MOST_VISITS) * MOST_AT_HAND // max(len(pairs.cost), MOST_AT_HAND)
    counters[CHANCE] = 1
    return counters
