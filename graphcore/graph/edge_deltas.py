"""What of a graph's shape has changed, for what is derived from it to follow."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.index import TraversalIndex
from graphcore.kernels.layout import FLAGS, OUT_SLOT, STALE_BIT

NO_PAIRS: NDArray[np.int32] = np.empty((0, 2), np.int32)


class Ends(NamedTuple):
    """
    Ends of edges: source node and target node, a row each, parallel ones each.

    ``fresh`` are those of edges that are not stale; ``confident`` those of fresh edges whose confidence reaches the graph's bound, none
    where that is 0.
    """

    fresh: NDArray[np.int32]
    confident: NDArray[np.int32]


NO_ENDS = Ends(NO_PAIRS, NO_PAIRS)


class Counting(NamedTuple):
    """Which of some edges are fresh, and which of these are confident; ``pairs`` are the ends of all of them."""

    pairs: NDArray[np.int32]
    fresh: NDArray[np.bool_]
    confident: NDArray[np.bool_]

    @classmethod
    def of(cls, index: TraversalIndex, edges: NDArray[np.int32], floor: float) -> Self:
        """Look at edges as they are now. O(their number)."""
        rows = index.edges[edges]
        fresh = index.pool[FLAGS].take(rows[:, OUT_SLOT]) & STALE_BIT == 0
        confident = fresh & (index.confidence[edges] >= floor) if floor else np.zeros_like(fresh)
        return cls(rows[:, :OUT_SLOT], fresh, confident)

    def ends(self) -> Ends:
        """Return the ends of those that are so."""
        return Ends(self.pairs[self.fresh], self.pairs[self.confident])

    def difference(self, after: "Counting") -> tuple[Ends, Ends]:
        """Return the ends of those that are so no longer, and of those that have become so."""
        return (
            Ends(self.pairs[self.fresh & ~after.fresh], self.pairs[self.confident & ~after.confident]),
            Ends(self.pairs[after.fresh & ~self.fresh], self.pairs[after.confident & ~self.confident]),
        )


class Moved(NamedTuple):
    """
    Edges that went or came.

    An edge that turns stale went, one that no longer is came; so does a confident one whose confidence crosses the bound. What was there before is right
    to take ``removed`` out of first; an index in ``removed`` may belong to a service that is gone, and be another's in
    ``added``. ``nodes`` are those of services that came, went or were renamed.
    """

    removed: Ends
    added: Ends
    nodes: NDArray[np.int32]


class MovedNotes:
    """Notes of what moved since they were last taken."""

    __slots__ = ("_added", "_nodes", "_removed")

    def __init__(self) -> None:
        self._removed: list[Ends] = []
        self._added: list[Ends] = []
        self._nodes: list[int] = []

    def edges(self, removed: Ends, added: Ends) -> None:
        """Note edges."""
        self._removed.append(removed)
        self._added.append(added)

    def nodes(self, nodes: list[int]) -> None:
        """Note nodes of services that came, went or were renamed."""
        self._nodes += nodes

    def take(self) -> Moved:
        """Hand the notes over, and forget them; O(their number)."""
        moved = Moved(_joined(self._removed), _joined(self._added), np.array(self._nodes, np.int32))
        self._removed, self._added, self._nodes = [], [], []
        return moved


def _joined(several: list[Ends]) -> Ends:
    if not several:
        return NO_ENDS
    fresh, confident = zip(*several, strict=True)
    return Ends(_concatenated(fresh), _concatenated(confident))


def _concatenated(pairs: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    some = [each for each in pairs if len(each)]
    return np.concatenate(some) if len(some) > 1 else some[0] if some else NO_PAIRS
