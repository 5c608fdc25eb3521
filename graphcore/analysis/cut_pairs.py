"""The pairs of services of a component, each with all its dependencies, and what it costs to cut them."""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import Calls, Numbers, sources
from graphcore.graph.flags import ALL_FLAGS, EdgeFlag
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import calls as kernels
from graphcore.kernels.layout import FLAGS, OUT_SLOT

UNIT = 1_000_000
"""Costs are counted in millionths, so that sums of them are the same in whatever order they are made."""

FACTORS = MappingProxyType(
    {
        EdgeFlag.SYNC: 1.0,
        EdgeFlag.ASYNC: 0.25,
        EdgeFlag.HARD: 1.0,
        EdgeFlag.DEGRADED: 0.5,
        EdgeFlag.SOFT: 0.2,
        EdgeFlag.MANUAL: 1.0,
        EdgeFlag.KUBERNETES: 0.9,
        EdgeFlag.SERVICE_MESH: 0.85,
        EdgeFlag.OTEL_SERVICE_GRAPH: 0.8,
    }
)
"""
What each property of a dependency multiplies its cost by.

A message can wait where a call can't; a caller that goes on without its callee loses little; and what somebody declared was wanted, while what was merely
observed may be an accident.
"""

LEAST_CONFIDENT = 0.25
"""The factor of a dependency of no confidence; it rises evenly to 1 for a certain one."""


def dependency_costs(flags: NDArray[np.int32], confidences: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    Price dependencies: the product of their factors in millionths, from 0.01 (asynchronous, soft, traced, of no confidence) to 1.

    O(their number).
    """
    costs = UNIT * (LEAST_CONFIDENT + (1.0 - LEAST_CONFIDENT) * confidences)
    for flag, factor in FACTORS.items():
        costs[flags & int(flag) != 0] *= factor
    return np.rint(costs).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Pairs:
    """
    Pairs sorted by caller, then callee, as ``graphcore.kernels.cuts.layout`` has them; ``cost`` in millionths.

    ``edges[first[pair] : first[pair + 1]]`` are the dependencies of a pair, in the order of their discovery sources.
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
        """How many services there are."""
        return len(self.start) - 1

    @property
    def costed(self) -> tuple[Numbers, Numbers, Numbers, NDArray[np.int64], Numbers, Numbers]:
        """What kernels call PAIRS."""
        return self.start, self.target, self.source, self.cost, self.back_start, self.back

    @property
    def ways(self) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
        """What kernels call WAYS."""
        return self.start, self.target, self.source, self.back_start, self.back


def pairs_of(calls: Calls, index: TraversalIndex) -> Pairs:
    """Put parallel dependencies together and price them. O(E log E)."""
    count = len(calls.start) - 1
    flags = index.pool[FLAGS][index.edges[calls.edge, OUT_SLOT]] & ALL_FLAGS
    keys = sources(calls.start).astype(np.int64) * count + calls.target
    # By flags in the end, so that the parallel ones of a pair come in the same order however the graph came to be.
    order = np.lexsort((flags, keys))
    keys = keys[order]
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = keys[1:] != keys[:-1]
    places = np.flatnonzero(begins)
    edges = calls.edge[order]
    costs = dependency_costs(flags[order], index.confidence[edges])
    source, target = (part.astype(np.int32) for part in np.divmod(keys[places], max(count, 1)))
    start = np.searchsorted(source, np.arange(count + 1)).astype(np.int32)
    back_start, back = np.empty_like(start), np.empty_like(target)
    kernels.turn_round.run(start, target, back_start, back)
    return Pairs(
        start=start,
        target=target,
        source=source,
        cost=np.add.reduceat(costs, places) if len(places) else np.empty(0, np.int64),
        back_start=back_start,
        back=back,
        first=np.append(places, len(keys)),
        edges=edges,
    )
