"""Which edges and nodes a change set added and removed, for the components to follow."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.index import TraversalIndex
from graphcore.kernels.layout import FLAGS, OUT_SLOT, STALE_BIT

NO_PAIRS: NDArray[np.int32] = np.empty((0, 2), np.int32)


class EdgeEnds(NamedTuple):
    """
    The source and target node of edges, a row each; parallel edges have a row each.

    ``fresh``: edges that are not stale. ``confident``: fresh edges whose confidence reaches the
    graph's ``cycle_confidence``; empty if that is 0.
    """

    fresh: NDArray[np.int32]
    confident: NDArray[np.int32]


NO_ENDS = EdgeEnds(NO_PAIRS, NO_PAIRS)


class EdgeStatus(NamedTuple):
    """Which of some edges are fresh and which confident; ``pairs`` are the ends of all of them."""

    pairs: NDArray[np.int32]
    fresh: NDArray[np.bool_]
    confident: NDArray[np.bool_]

    @classmethod
    def of(cls, index: TraversalIndex, edges: NDArray[np.int32], floor: float) -> Self:
        """Look up the edges as they are now. O(edges)."""
        rows = index.edges[edges]
        fresh = index.pool[FLAGS].take(rows[:, OUT_SLOT]) & STALE_BIT == 0
        confident = fresh & (index.confidence[edges] >= floor) if floor else np.zeros_like(fresh)
        return cls(rows[:, :OUT_SLOT], fresh, confident)

    def ends(self) -> EdgeEnds:
        """Return the ends of the fresh and of the confident edges."""
        return EdgeEnds(self.pairs[self.fresh], self.pairs[self.confident])

    def difference(self, after: "EdgeStatus") -> tuple[EdgeEnds, EdgeEnds]:
        """Return the ends of the edges that lost, and of those that gained, either status."""
        return (
            EdgeEnds(self.pairs[self.fresh & ~after.fresh], self.pairs[self.confident & ~after.confident]),
            EdgeEnds(self.pairs[after.fresh & ~self.fresh], self.pairs[after.confident & ~self.confident]),
        )


class EdgeDeltas(NamedTuple):
    """
    Edges that were removed and added, and ``nodes`` of services that came, went or were renamed.

    An edge that turns stale counts as removed, one that turns fresh as added; likewise a confident
    edge whose confidence crosses the bound. Apply ``removed`` first: its node indices may belong to
    services that are gone, and be reused in ``added``.
    """

    removed: EdgeEnds
    added: EdgeEnds
    nodes: NDArray[np.int32]


class DeltaRecorder:
    """Collects deltas until they are taken."""

    __slots__ = ("_added", "_nodes", "_removed")

    def __init__(self) -> None:
        self._removed: list[EdgeEnds] = []
        self._added: list[EdgeEnds] = []
        self._nodes: list[int] = []

    def record_edges(self, removed: EdgeEnds, added: EdgeEnds) -> None:
        """Record removed and added edges."""
        self._removed.append(removed)
        self._added.append(added)

    def record_nodes(self, nodes: list[int]) -> None:
        """Record nodes of services that came, went or were renamed."""
        self._nodes += nodes

    def take(self) -> EdgeDeltas:
        """Return what was recorded and start anew. O(records)."""
        deltas = EdgeDeltas(_joined(self._removed), _joined(self._added), np.array(self._nodes, np.int32))
        self._removed, self._added, self._nodes = [], [], []
        return deltas


def _joined(several: list[EdgeEnds]) -> EdgeEnds:
    fresh = [ends.fresh for ends in several if len(ends.fresh)]
    confident = [ends.confident for ends in several if len(ends.confident)]
    return EdgeEnds(_concatenated(fresh), _concatenated(confident))


def _concatenated(pairs: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    if len(pairs) > 1:
        return np.concatenate(pairs)
    return pairs[0] if pairs else NO_PAIRS
