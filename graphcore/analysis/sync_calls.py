"""Rows of the calls that an audit looks at."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.graph import DependencyGraph
from graphcore.kernels import audits as kernels
from graphcore.kernels.layout import EDGE, FLAGS, NEIGHBOUR

_FIRST_SOURCE = 5
_SOURCE_BITS = 15


class SyncCalls(NamedTuple):
    """
    Calls in rows by caller: those of a node are the places ``start[node]`` to before ``start[node + 1]`` of the other columns.

    ``origin`` is the discovery source as a number that rises in the order of sources.
    """

    start: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    edge: NDArray[np.int32]
    origin: NDArray[np.int32]

    @classmethod
    def of(cls, graph: DependencyGraph, mask: NDArray[np.uint8], begin: int | None, hops: int) -> "SyncCalls":
        """Gather the edges in ``mask``: all of them, or those on paths of up to ``hops`` calls that begin at a node. O(V + E)."""
        index = graph.index
        count = len(index.nodes)
        if begin is None:
            chosen: NDArray[np.uint8] = np.ones(count, np.uint8)
        else:
            chosen = np.zeros(count, np.uint8)
            queue = np.empty(count, np.int32)
            kernels.mark_within.run(index.nodes, index.pool, mask, begin, hops, chosen, queue)
        start = np.empty(count + 1, np.int32)
        slots = np.empty(int(np.count_nonzero(mask)), np.int32)
        found = kernels.gather_slots.run(index.nodes, index.pool, mask, chosen, start, slots)
        slots = slots[:found]
        return cls(
            start,
            np.repeat(np.arange(count, dtype=np.int32), np.diff(start)),
            index.pool[NEIGHBOUR].take(slots),
            index.pool[EDGE].take(slots),
            index.pool[FLAGS].take(slots) >> _FIRST_SOURCE & _SOURCE_BITS,
        )
