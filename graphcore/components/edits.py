"""What changes of a graph mean to its components, on the way in and on the way out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_NO_PAIRS: NDArray[np.int32] = np.empty((0, 2), np.int32)
_NODE_BITS = 32


@dataclass(frozen=True, slots=True)
class ComponentEdits:
    """
    What a change set did, as far as components are concerned.

    ``lost`` and ``gained`` are the edges that count and went or came: source and target, a row each, parallel ones each. An edge
    may be in both. ``present`` and ``absent`` are nodes that came or went, by whether they are there now; others may be
    among them.
    """

    lost: NDArray[np.int32] = field(default_factory=_NO_PAIRS.copy)
    gained: NDArray[np.int32] = field(default_factory=_NO_PAIRS.copy)
    present: Sequence[int] = ()
    absent: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.lost) + len(self.gained) + len(self.present) + len(self.absent)

    def net(self) -> "ComponentEdits":
        """Leave out what was both lost and gained, as often as it was both."""
        if not len(self.lost) or not len(self.gained):
            return self
        pairs = np.concatenate((_keys(self.lost), _keys(self.gained)))
        changes = np.repeat((-1, 1), (len(self.lost), len(self.gained)))
        distinct, place = np.unique(pairs, return_inverse=True)
        balance = np.bincount(place, changes, len(distinct)).astype(np.int64)
        lost, gained = (
            np.repeat(distinct, np.maximum(-balance, 0)),
            np.repeat(distinct, np.maximum(balance, 0)),
        )
        return ComponentEdits(_pairs(lost), _pairs(gained), self.present, self.absent)


class Touched(NamedTuple):
    """
    What an update may have changed, as labels, those that are gone or new among them.

    ``reformed``: other members, or one of them is another service now; ``recounted``: another number of edges.
    """

    reformed: set[int]
    recounted: set[int]


def joined(several: Iterable[ComponentEdits]) -> ComponentEdits:
    """Make one of edits that followed each other."""
    edits = tuple(several)
    is_present: dict[int, bool] = {}
    for each in edits:
        is_present.update(dict.fromkeys(each.present, True))
        is_present.update(dict.fromkeys(each.absent, False))
    return ComponentEdits(
        np.concatenate([_NO_PAIRS, *(each.lost for each in edits)]),
        np.concatenate([_NO_PAIRS, *(each.gained for each in edits)]),
        [node for node, present in is_present.items() if present],
        [node for node, present in is_present.items() if not present],
    )


def _keys(pairs: NDArray[np.int32]) -> NDArray[np.int64]:
    return (pairs[:, 0].astype(np.int64) << _NODE_BITS) | pairs[:, 1]


def _pairs(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.stack((keys >> _NODE_BITS, keys & (2**_NODE_BITS - 1)), axis=1).astype(np.int32)
