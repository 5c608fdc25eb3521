"""The search for cheap cuts: pairs of services with their costs, and which of them to cut."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import Calls, Numbers, reversed_calls, sources
from graphcore.compiling import budget
from graphcore.graph.flags import ALL_FLAGS, EdgeFlag
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import FLAGS, OUT_SLOT
from graphcore.kernels.cuts import CHANCE, COUNTERS, WORK, exchange, improve, needed, ordering

UNIT = 1_000_000
"""Costs are integers in millionths, so that a sum does not depend on its order."""

FACTORS: Mapping[EdgeFlag, float] = {
    EdgeFlag.SYNC: 1.0,
    EdgeFlag.ASYNC: 0.25,
    EdgeFlag.UNKNOWN_MODE: 1.0,
    EdgeFlag.HARD: 1.0,
    EdgeFlag.DEGRADED: 0.5,
    EdgeFlag.SOFT: 0.2,
    EdgeFlag.UNKNOWN_CRITICALITY: 1.0,
    EdgeFlag.MANUAL: 1.0,
    EdgeFlag.CATALOG: 0.95,
    EdgeFlag.KUBERNETES: 0.9,
    EdgeFlag.SERVICE_MESH: 0.85,
    EdgeFlag.OTEL_SERVICE_GRAPH: 0.8,
}
"""
The factor of each property of a dependency in its cost.

A message can wait, a call can't. A caller that works without its callee loses little. A declared
dependency was intended; one that was only observed may be an accident. What is unknown costs as the
defaults do, synchronous and hard: a cut that may hurt is no cheap one.
"""

LEAST_CONFIDENT = 0.25
"""The factor of confidence 0; it rises linearly to 1 for confidence 1."""


def dependency_costs(flags: NDArray[np.int32], confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    Return the costs of dependencies in millionths: the products of their factors.

    From 0.01 (asynchronous, soft, traced, no confidence) to 1. O(n).
    """
    costs = UNIT * (LEAST_CONFIDENT + (1.0 - LEAST_CONFIDENT) * confidences)
    for flag, factor in FACTORS.items():
        costs[flags & int(flag) != 0] *= factor
    return np.rint(costs).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """
    Pairs sorted by caller, then callee, as in ``graphcore.kernels.cuts``; cost: millionths.

    ``edges[first[pair] : first[pair + 1]]`` are the dependencies of a pair by discovery source.
    """

    start: Numbers
    target: Numbers
    source: Numbers
    cost: NDArray[np.int64]
    back_start: Numbers
    back: Numbers
    first: NDArray[np.int64]
    edges: Numbers

    @property
    def count(self) -> int:
        """Number of services."""
        return len(self.start) - 1

    @property
    def costed(self) -> tuple[Numbers, Numbers, Numbers, NDArray[np.int64], Numbers, Numbers]:
        """The arrays that kernels call PAIRS."""
        return self.start, self.target, self.source, self.cost, self.back_start, self.back


def pairs_of(calls: Calls, index: TraversalIndex) -> Pairs:
    """Group parallel dependencies into pairs and sum their costs. O(E log E)."""
    count = len(calls.start) - 1
    flags = index.pool[FLAGS][index.edges[calls.edge, OUT_SLOT]] & ALL_FLAGS
    keys = sources(calls.start).astype(np.int64) * count + calls.target
    # Then by flags, so that the order of parallel edges is always the same.
    order = np.lexsort((flags, keys))
    keys = keys[order]
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = keys[1:] != keys[:-1]
    places = np.flatnonzero(begins)
    edges = calls.edge[order]
    costs = dependency_costs(flags[order], index.confidence[edges])
    source, target = (part.astype(np.int32) for part in np.divmod(keys[places], max(count, 1)))
    start = np.searchsorted(source, np.arange(count + 1)).astype(np.int32)
    cost = np.add.reduceat(costs, places) if len(places) else np.empty(0, np.int64)
    back = reversed_calls(start, target)
    return Pairs(start, target, source, cost, *back, np.append(places, len(keys)), edges)


EXACT_SIZE = 15
"""Up to this many services the cheapest cuts are found: half a million steps."""

# Visits of pairs for each search (better orders, unneeded cuts, ways back), about 0.25 s. With more
# pairs than _MOST_AT_HAND fewer, because each visit waits for memory.
_MOST_VISITS, _MOST_AT_HAND = 20_000_000, 200_000
# The search ends after so many disturbances in a row without improvement.
_TRIES = 2_000
# Share of the work, 1/n, before the first attempt to prove that the cuts are the cheapest.
_FIRST_SHARE = 4
# Total length of all ways back, in services.
_MOST_STEPS = 2_000_000


@dataclass(frozen=True, slots=True)
class Cutting:
    """The pairs to cut: those that lead backwards in an order of the services: no cycle remains."""

    pairs: Pairs
    cuts: NDArray[np.int64]
    key: NDArray[np.float64]
    """A number for each service that rises along the order."""
    is_optimal: bool
    """No cheaper cuts exist; if false, they may."""

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
        search, path = np.zeros((needed.SEARCH_ROWS, count), np.int32), np.empty(count, np.int32)
        counters = _counters(pairs)
        steps = _MOST_STEPS
        for stamp, cut in enumerate(self.cuts.tolist(), 1):
            if counters[WORK] <= 0 or steps <= 0:
                yield []
                continue
            length = needed.way_back.run(pairs.costed, kept, self.key, search, counters, stamp, cut, path)
            steps -= length
            yield path[:length].tolist()


def cheap_cuts(pairs: Pairs) -> Cutting:
    """
    Find cheap pairs whose removal breaks all cycles, the cheapest up to ``EXACT_SIZE`` services.

    Deterministic; cheapest first, then by caller and callee. Each is needed, as far as the work
    allows to check that. Cuts of many services may also be proved to be the cheapest
    (``graphcore.kernels.cuts.exchange``). O(2^V V) for few services, else O(E log V) and a bounded
    number of steps. Compiled, it lets other threads run.
    """
    if pairs.count <= EXACT_SIZE:
        return _cutting(pairs, _cheapest_order(pairs), is_cheapest=True)
    order, value = np.empty(pairs.count, np.int32), np.empty(pairs.count, np.int64)
    room = np.empty((ordering.ROOM_ROWS, pairs.count), np.int32)
    ordering.order_greedily.run(pairs.costed, room, value, order)
    if len(pairs.cost) <= _MOST_AT_HAND:
        # Often this is enough to prove the result.
        found = _cutting(pairs, _improved(pairs, order, tries=0))
        if found.is_optimal:
            return found
    return _cutting(pairs, _improved(pairs, order, tries=_TRIES))


def _cutting(pairs: Pairs, key: NDArray[np.float64], *, is_cheapest: bool = False) -> Cutting:
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    cheapest_first = cuts[np.argsort(pairs.cost[cuts], kind="stable")]
    return Cutting(pairs, cheapest_first, key, is_cheapest or _are_proved(pairs, key, cheapest_first))


def _cheapest_order(pairs: Pairs) -> NDArray[np.float64]:
    count = pairs.count
    order, key = np.empty(count, np.int32), np.empty(count, np.float64)
    toward, least = np.empty((count, 1 << count), np.int64), np.empty(1 << count, np.int64)
    ordering.order_exactly.run(pairs.start, pairs.target, pairs.cost, toward, least, order)
    key[order] = np.arange(count)
    return key


def _improved(pairs: Pairs, order: Numbers, *, tries: int) -> NDArray[np.float64]:
    """Improve ``order`` and put back cuts that are not needed; returns the keys of the services."""
    count, pair_count = pairs.count, len(pairs.cost)
    key, link = np.empty(count, np.float64), np.empty((2, count + 1), np.int32)
    flow, search = np.empty(pair_count, np.int64), np.zeros((exchange.SEARCH_ROWS, count), np.int32)
    waiting, counters = np.zeros((2, count), np.int32), _counters(pairs)
    if not tries:
        counters[WORK] //= _FIRST_SHARE
    improve.improve.run(pairs.costed, link, key, flow, search, waiting, counters, order, tries)
    cuts = np.flatnonzero(key[pairs.source] > key[pairs.target])
    dearest_first = cuts[np.argsort(-pairs.cost[cuts], kind="stable")].astype(np.int32)
    search, counters = np.zeros((needed.SEARCH_ROWS, count), np.int32), _counters(pairs)
    needed.put_back.run(pairs.costed, _kept(pairs, key), link, key, search, counters, dearest_first)
    return key


def _are_proved(pairs: Pairs, key: NDArray[np.float64], cuts: NDArray[np.int64]) -> bool:
    """Whether cuts can be proved to be the cheapest without trying others."""
    flow, spare = np.empty((2, len(pairs.cost)), np.int64)
    search, cuts = np.empty((exchange.SEARCH_ROWS, pairs.count), np.int32), cuts.astype(np.int32)
    return bool(exchange.are_packed.run(pairs.costed, key, flow, spare, search, _counters(pairs), cuts))


def _kept(pairs: Pairs, key: NDArray[np.float64]) -> NDArray[np.int8]:
    return (key[pairs.source] < key[pairs.target]).astype(np.int8)


def _counters(pairs: Pairs) -> NDArray[np.int64]:
    """Make the counters of a kernel, with the work that it may do."""
    counters: NDArray[np.int64] = np.zeros(COUNTERS, np.int64)
    counters[WORK] = budget(_MOST_VISITS) * _MOST_AT_HAND // max(len(pairs.cost), _MOST_AT_HAND)
    counters[CHANCE] = 1
    return counters
