"""What it costs to do without a dependency."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from graphcore.flags import EdgeFlag

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
