"""The pairs of services of a component with their dependencies, and what it costs to cut them."""

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
"""Costs are integers in millionths, so that a sum does not depend on its order."""

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
The factor of each property of a dependency in its cost.

A message can wait, a call can't. A caller that works without its callee loses little. A declared
dependency was intended; one that was only observed may be an accident.
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
    Pairs sorted by caller, then callee, as in ``graphcore.kernels.cuts.layout``.

    ``cost`` in millionths.

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

    @property
    def ways(self) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers]:
        """The arrays that kernels call WAYS."""
        return self.start, self.target, self.source, self.back_start, self.back


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
