"""Input and output of a component update: changed edges and nodes, and affected labels."""

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
    The part of a change set that affects components.

    ``lost`` and ``gained``: edges that were removed and added, as (source, target) rows, one for
    each parallel edge. An edge may be in both. ``present`` and ``absent``: nodes that were added or
    removed, by whether they exist now; unchanged nodes may be among them.
    """

    lost: NDArray[np.int32] = field(default_factory=_NO_PAIRS.copy)
    gained: NDArray[np.int32] = field(default_factory=_NO_PAIRS.copy)
    present: Sequence[int] = ()
    absent: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.lost) + len(self.gained) + len(self.present) + len(self.absent)

    def net(self) -> "ComponentEdits":
        """Cancel edges that were both lost and gained."""
        if not len(self.lost) or not len(self.gained):
            return self
        pairs = np.concatenate((self.lost, self.gained)).astype(np.int64)
        changes = np.repeat((-1, 1), (len(self.lost), len(self.gained)))
        # Sorting one number is several times faster than sorting two columns.
        keys, place = np.unique(pairs[:, 0] << _NODE_BITS | pairs[:, 1], return_inverse=True)
        balance = np.bincount(place, changes, len(keys)).astype(np.int64)
        distinct = np.stack((keys >> _NODE_BITS, keys & (2**_NODE_BITS - 1)), axis=1).astype(np.int32)
        lost, gained = (np.repeat(distinct, np.maximum(sign * balance, 0), axis=0) for sign in (-1, 1))
        return ComponentEdits(lost, gained, self.present, self.absent)


class ChangedLabels(NamedTuple):
    """
    Labels of components that an update may have changed, including removed and new labels.

    ``reformed``: the members changed. ``recounted``: the number of edges changed.
    """

    reformed: set[int]
    recounted: set[int]


def joined(several: Iterable[ComponentEdits]) -> ComponentEdits:
    """Merge successive edits."""
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
