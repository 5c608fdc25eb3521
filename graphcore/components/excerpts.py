"""Excerpts of components: size and first members, cheap to keep for components of any size."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TypeAlias

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.components.edits import ChangedLabels
from graphcore.components.index import ComponentIndex
from graphcore.graph.records import DependencyRecord, ServiceRecord

Mask: TypeAlias = NDArray[np.bool_]

# Keep this many times the names shown, so that members may leave without a new look at all names.
_RESERVE = 2
# With more new members, a new selection costs no more.
_MANY = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """
    A component of two or more services: its size, and its first ``members``, sorted by name.

    ``inside`` marks its nodes at the time (``clock``, ``epoch``) of the excerpt; None if
    ``members`` lists all.
    """

    label: int
    size: int
    members: tuple[str, ...]
    inside: Mask | None = None
    clock: int = 0
    epoch: object = None

    @property
    def unlisted(self) -> int:
        """Number of members that are not listed."""
        return self.size - len(self.members)


@dataclass(frozen=True, slots=True)
class _Selection:
    """The members with names up to ``bound`` (None: all members), sorted, with their nodes."""

    inside: Mask
    clock: int
    most: int
    first: list[tuple[str, int]]
    bound: str | None

    @classmethod
    def cut(
        cls, inside: Mask, clock: int, most: int, first: list[tuple[str, int]], bound: str | None
    ) -> "_Selection":
        if len(first) > _RESERVE * most:
            first = first[: _RESERVE * most]
            bound = first[-1][0]
        return cls(inside, clock, most, first, bound)


class ComponentExcerpts:
    """
    Excerpts of the components of an index; each is the same object until its component changes.

    After a change, an excerpt costs O(V) over arrays of bits, and O(new and listed members) in
    Python: it doesn't read the names of all members again.
    """

    def __init__(self, digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord], index: ComponentIndex) -> None:
        self._digraph = digraph
        self._index = index
        self._current: dict[int, Excerpt] = {}
        self._selections: dict[int, _Selection] = {}
        self._clock, self._epoch = 0, object()
        # The clock when a node was last added, removed or renamed.
        self._renewed: NDArray[np.int32] = np.zeros(0, np.int32)

    def renew(self, nodes: NDArray[np.int32]) -> None:
        """Record nodes of services that came, went, or have a new name or key. O(nodes)."""
        if self._clock and len(nodes):
            self._cover(int(nodes.max()) + 1)
            self._renewed[nodes] = self._clock

    def forget(self, changed: ChangedLabels | None) -> None:
        """Drop the excerpts of components that may have changed; None: of all."""
        if changed is None:
            self._current.clear()
            self._selections.clear()
            self._epoch = object()
            return
        for label in changed.reformed:
            self._current.pop(label, None)
            if self._index.size(label) <= 1:
                self._selections.pop(label, None)
        for label in changed.recounted - changed.reformed:
            former = self._current.get(label)
            if former is not None:
                self._current[label] = replace(former)

    def of(self, label: int, most: int, members: Callable[[int], tuple[str, ...]]) -> Excerpt:
        """Return the excerpt of a component, with all ``members`` if there are at most ``most``."""
        if label not in self._current:
            if self._index.size(label) > most:
                self._current[label] = self._cut(label, most)
            else:
                self._selections.pop(label, None)
                self._current[label] = Excerpt(label, self._index.size(label), members(label))
        return self._current[label]

    def _cut(self, label: int, most: int) -> Excerpt:
        inside = self._index.inside(label)
        self._cover(len(inside))
        self._clock += 1
        selection = self._updated_selection(label, inside, most) or self._new_selection(inside, most)
        self._selections[label] = selection
        names = tuple([name for name, _ in selection.first[:most]])
        return Excerpt(label, self._index.size(label), names, inside, self._clock, self._epoch)

    def nodes(self, excerpt: Excerpt) -> NDArray[np.int32]:
        """List the nodes of an up-to-date excerpt. O(V)."""
        inside = self._index.inside(excerpt.label) if excerpt.inside is None else excerpt.inside
        return np.flatnonzero(inside).astype(np.int32)

    def is_comparable(self, excerpt: Excerpt) -> bool:
        """Whether ``is_same_member`` and ``member_counts`` know this excerpt."""
        return excerpt.inside is not None and excerpt.epoch is self._epoch

    def is_same_member(self, excerpt: Excerpt, node: int) -> bool:
        """Whether the service at this node was a member of the excerpt, and not renamed since."""
        return self.was_member(excerpt, node) and bool(self._renewed[node] < excerpt.clock)

    def was_member(self, excerpt: Excerpt, node: int) -> bool:
        """Whether a service at this node, possibly another one, was a member of the excerpt."""
        inside = excerpt.inside
        return inside is not None and node < len(inside) and bool(inside[node])

    def member_counts(self, excerpt: Excerpt) -> NDArray[np.int64]:
        """Count, by current label, the former members that were not renamed since. O(V)."""
        inside = excerpt.inside
        if inside is None:
            return np.zeros(0, np.int64)
        still = inside & (self._renewed[: len(inside)] < excerpt.clock)
        return np.bincount(self._index.labels_of(np.flatnonzero(still)))

    def _new_selection(self, inside: Mask, most: int) -> _Selection:
        named = ((self._digraph[node].name, node) for node in np.flatnonzero(inside).tolist())
        # One more than is kept, to see whether there are more.
        first = nsmallest(_RESERVE * most + 1, named)
        return _Selection.cut(inside, self._clock, most, first, None)

    def _updated_selection(self, label: int, inside: Mask, most: int) -> _Selection | None:
        """Update the former selection; None if it has too few names left."""
        former = self._selections.get(label)
        if former is None or former.most != most:
            return None
        renewed = self._renewed[: len(inside)] >= former.clock
        came = inside & renewed
        before = former.inside
        came[: len(before)] |= inside[: len(before)] & ~before
        came[len(before) :] |= inside[len(before) :]
        newcomers = np.flatnonzero(came).tolist()
        if len(newcomers) > _MANY:
            return None
        first = [(name, node) for name, node in former.first if inside[node] and not renewed[node]]
        named = ((self._digraph[node].name, node) for node in newcomers)
        first += [(name, node) for name, node in named if former.bound is None or name <= former.bound]
        if len(first) < most:
            return None
        first.sort()
        return _Selection.cut(inside, self._clock, most, first, former.bound)

    def _cover(self, count: int) -> None:
        former = len(self._renewed)
        if count > former:
            self._renewed = np.concatenate((self._renewed, np.zeros(count - former, np.int32)))
