"""A search for all components, which may run in another thread while the graph changes."""

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.index import TraversalIndex
from graphcore.kernels.components import full
from graphcore.kernels.components.layout import (
    COUNTERS,
    FREE_COUNT,
    LABEL,
    LOCAL,
    NO_LABEL,
    STATE_ROWS,
    WORK_ROWS,
)
from graphcore.kernels.layout import EDGE, FRESH, NEIGHBOUR, USED


class ComponentSearch:
    """
    Finds the components of a graph as of the construction of this object.

    ``nodes`` are all nodes; edges count if their confidence is at least ``floor``. The constructor
    copies arrays, some milliseconds for a million edges. ``run`` takes several times as long; call
    it once, from any thread.
    """

    __slots__ = ("_confidence", "_floor", "_nodes", "_places", "_pool", "counters", "order", "state")

    def __init__(self, adjacency: TraversalIndex, nodes: NDArray[np.int32], floor: float) -> None:
        rows = (EDGE if floor > 0.0 else NEIGHBOUR) + 1
        self._places = nodes
        self._floor = floor
        self._nodes = adjacency.nodes.copy()
        self._pool = adjacency.pool[:rows, : adjacency.ledger[USED]].copy()
        self._confidence = adjacency.confidence.copy() if floor > 0.0 else np.empty(0)
        self.state: NDArray[np.int32] = np.empty((STATE_ROWS, 0), np.int32)
        self.order: NDArray[np.float64] = np.empty(0)
        self.counters: NDArray[np.int64] = np.zeros(COUNTERS, np.int64)

    def run(self) -> None:
        """Search. O(V + E); compiled, it lets other threads run."""
        capacity, count = len(self._nodes), len(self._places)
        self.state = np.zeros((STATE_ROWS, capacity), np.int32)
        self.state[LABEL] = NO_LABEL
        self.state[LOCAL] = -1
        self.order = np.empty(capacity)
        start, target = np.empty(count + 1, np.int32), np.empty(self._nodes[:, FRESH].sum(), np.int32)
        local = np.full(capacity, -1, np.int32)
        local[self._places] = np.arange(count)
        full.gather_calls.run(
            self._nodes, self._pool, self._confidence, self._floor, self._places, local, start, target
        )
        work = np.empty((WORK_ROWS, count + 1), np.int32)
        found = full.find_components.run(start, target, work, self._places, self.state, self.order)
        self.counters[FREE_COUNT] = capacity - found
