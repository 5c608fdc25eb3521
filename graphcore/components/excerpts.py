"""Components by their first members: what a component of any size costs little to know."""

from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TypeAlias

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.components.edits import Touched
from graphcore.components.index import ComponentIndex
from graphcore.graph.records import DependencyRecord, ServiceRecord

Mask: TypeAlias = NDArray[np.bool_]

# More names than are shown are remembered, so that members may go without all names being looked at again.
_RESERVE = 2
# With more newcomers it costs as much to begin anew.
_MANY = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """
    A component of two or more services: its size, and its first ``members`` by name, sorted.

    ``inside`` tells which nodes are in it, at the time (``clock``, ``epoch``) it was made; None where all members are named.
    """

    label: int
    size: int
    members: tuple[str, ...]
    inside: Mask | None = None
    clock: int = 0
    epoch: object = None

    @property
    def unlisted(self) -> int:
        """How many members are not named."""
        return self.size - len(self.members)


@dataclass(frozen=True, slots=True)
class _Selection:
    """All members whose name is at most ``bound`` (None = all there are), sorted, with their nodes."""

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
    Excerpts of the components of one index, which stay the same objects until their components change.

    Names of a component that changed are not all looked at again: O(V) over arrays of bits, and O(newcomers + named members) of Python.
    """

    __slots__ = ("_clock", "_current", "_digraph", "_epoch", "_index", "_renewed", "_selections")

    def __init__(self, digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord], index: ComponentIndex) -> None:
        self._digraph = digraph
        self._index = index
        self._current: dict[int, Excerpt] = {}
        self._selections: dict[int, _Selection] = {}
        self._clock, self._epoch = 0, object()
        # When a node last came, went, or got another name, after the first selection was made.
        self._renewed: NDArray[np.int32] = np.zeros(0, np.int32)

    def renew(self, nodes: NDArray[np.int32]) -> None:
        """Take note of services that came, went, or have another name or key. O(nodes)."""
        if self._clock and len(nodes):
            self._cover(int(nodes.max()) + 1)
            self._renewed[nodes] = self._clock

    def forget(self, touched: Touched | None) -> None:
        """Let go of what may have changed; None = everything."""
        if touched is None:
            self._current.clear()
            self._selections.clear()
            self._epoch = object()
            return
        for label in touched.reformed:
            self._current.pop(label, None)
            if self._index.size(label) <= 1:
                self._selections.pop(label, None)
        for label in touched.recounted - touched.reformed:
            former = self._current.get(label)
            if former is not None:
                self._current[label] = replace(former)

    def find(self, label: int) -> Excerpt | None:
        """Return the excerpt of a component that has not changed since it was made."""
        return self._current.get(label)

    def keep_whole(self, label: int, members: tuple[str, ...]) -> Excerpt:
        """Make that of a component all of whose members are named."""
        self._selections.pop(label, None)
        made = self._current[label] = Excerpt(label, len(members), members)
        return made

    def keep_cut(self, label: int, most: int) -> Excerpt:
        """Make that of a component with more members than are named."""
        inside = self._index.inside(label)
        self._cover(len(inside))
        self._clock += 1
        selection = self._advanced(label, inside, most) or self._begun(inside, most)
        self._selections[label] = selection
        names = tuple([name for name, _ in selection.first[:most]])
        made = Excerpt(label, self._index.size(label), names, inside, self._clock, self._epoch)
        self._current[label] = made
        return made

    def nodes(self, excerpt: Excerpt) -> NDArray[np.int32]:
        """List the nodes of a component that is as it was when the excerpt was made."""
        inside = self._index.inside(excerpt.label) if excerpt.inside is None else excerpt.inside
        return np.flatnonzero(inside).astype(np.int32)

    def remembers(self, excerpt: Excerpt) -> bool:
        """Whether ``held`` and ``shared`` know who was in the component when the excerpt was made."""
        return excerpt.inside is not None and excerpt.epoch is self._epoch

    def held(self, excerpt: Excerpt, node: int) -> bool:
        """Whether the service that has this node now was in the component, unless it has got another name since. O(1)."""
        inside = excerpt.inside
        return (
            inside is not None
            and node < len(inside)
            and bool(inside[node])
            and bool(self._renewed[node] < excerpt.clock)
        )

    def held_once(self, excerpt: Excerpt, node: int) -> bool:
        """Whether whatever service had this node was in the component. O(1)."""
        inside = excerpt.inside
        return inside is not None and node < len(inside) and bool(inside[node])

    def shared(self, excerpt: Excerpt) -> NDArray[np.int64]:
        """Count by label where the services that were in a component are now, without those that have got another name since. O(V)."""
        inside = excerpt.inside
        if inside is None:
            return np.zeros(0, np.int64)
        still = inside & (self._renewed[: len(inside)] < excerpt.clock)
        return np.bincount(self._index.labels_of(np.flatnonzero(still)))

    def _begun(self, inside: Mask, most: int) -> _Selection:
        named = ((self._digraph[node].name, node) for node in np.flatnonzero(inside).tolist())
        # One more than is kept, so that it shows whether these are all.
        first = nsmallest(_RESERVE * most + 1, named)
        return _Selection.cut(inside, self._clock, most, first, None)

    def _advanced(self, label: int, inside: Mask, most: int) -> _Selection | None:
        """Make a selection of the former one; None where too few names are left of it."""
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
