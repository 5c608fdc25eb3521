"""What of a graph's shape has changed, for what is derived from it to follow."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_PAIRS: NDArray[np.int32] = np.empty((0, 2), np.int32)


class Moved(NamedTuple):
    """
    Edges that are not stale and went or came: source node and target node, a row each, parallel ones each.

    An edge that turns stale went, one that no longer is came. What was there before is right to take ``removed`` out of
    first; an index in ``removed`` may belong to a service that is gone, and be another's in ``added``. ``nodes``
    are those of services that came, went or were renamed.
    """

    removed: NDArray[np.int32]
    added: NDArray[np.int32]
    nodes: NDArray[np.int32]


class MovedNotes:
    """Notes of what moved since they were last taken."""

    __slots__ = ("_added", "_nodes", "_removed")

    def __init__(self) -> None:
        self._removed: list[NDArray[np.int32]] = []
        self._added: list[NDArray[np.int32]] = []
        self._nodes: list[int] = []

    def edges(self, removed: NDArray[np.int32], added: NDArray[np.int32]) -> None:
        """Note edges, pairs as in ``Moved``."""
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


def _joined(pairs: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    some = [each for each in pairs if len(each)]
    return np.concatenate(some) if len(some) > 1 else some[0] if some else NO_PAIRS
