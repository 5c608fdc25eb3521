"""The strongly connected components of a graph by name, updated while the graph changes."""

from dataclasses import dataclass, field

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.compiling import budget
from graphcore.components.edits import ChangedLabels, ComponentEdits
from graphcore.components.excerpts import ComponentExcerpts, Excerpt
from graphcore.components.index import ComponentIndex, ComponentSearch
from graphcore.graph.name_order import sorted_names
from graphcore.graph.records import DependencyRecord, ServiceRecord


class Memo:
    """
    A place for callers to store what they derive from a component, such as its encoded record.

    ``members`` is dropped when the names of the members change, ``whole`` when anything changes.
    """

    __slots__ = ("members", "whole")

    def __init__(self, members: object = None) -> None:
        self.members = members
        self.whole: object = None


@dataclass(frozen=True, slots=True)
class Component:
    """
    Services that all reach each other over dependencies that are not stale.

    ``members`` are sorted names; ``edge_count`` counts these dependencies, including parallel ones.
    """

    members: tuple[str, ...]
    edge_count: int
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.members)

    @property
    def is_cycle(self) -> bool:
        """Whether there is a cycle: two or more members."""
        return len(self.members) > 1


SEARCHED_AT_ONCE = 50_000
"""Services and dependencies that can be searched between two requests: 1 to 2 ms."""

NAMED_AT_ONCE = 5_000
"""Names that can be looked up and sorted between two requests: 2 ms."""


class Components:
    """
    Names the components of an index, and caches them until they change.

    An update costs what it affects (``graphcore.kernels.components``). The first question, and one
    after a change too large for an update, needs a search of everything, O(V + E). ``is_ready``
    says whether that is done or quick; ``begin`` and ``adopt`` let it run in another thread. Before
    the first search, updates cost nothing.
    """

    def __init__(self, digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord], index: ComponentIndex) -> None:
        self._digraph = digraph
        self._index = index
        self._by_label: dict[int, Component] = {}
        self._cycles: list[Component] | None = None
        self._changed: ChangedLabels | None = None
        self.excerpts = ComponentExcerpts(digraph, index)
        """The excerpts that ``cyclic`` returns; can compare older ones with the graph."""

    @property
    def is_known(self) -> bool:
        """Whether components are known, so that updates follow each change."""
        return self._index.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether components are known, or the graph is small enough to search at once."""
        size = self._digraph.num_nodes() + self._digraph.num_edges()
        return self._index.is_ready or size <= budget(SEARCHED_AT_ONCE)

    def begin(self) -> ComponentSearch:
        """Return a search of the graph as it is now; an earlier search is cancelled. O(V + E)."""
        return self._index.begin(np.array(self._digraph.node_indices(), np.int32))

    def adopt(self, search: ComponentSearch) -> bool:
        """Take over the result of a search; False if too much changed meanwhile."""
        if not self._index.is_ready:
            self._forget(None)
        return self._index.adopt(search)

    def update(self, lost: NDArray[np.int32], gained: NDArray[np.int32], nodes: NDArray[np.int32]) -> None:
        """
        Follow a change set that the graph already has. O(what it affects).

        ``lost`` and ``gained``: (source, target) rows of edges. ``nodes``: services that came, went
        or have a new name or key.
        """
        if not self._index.needs_edits:
            return
        present: list[int] = []
        absent: list[int] = []
        for node in nodes.tolist():
            (present if self._digraph.has_node(node) else absent).append(node)
        self.excerpts.renew(nodes)
        was_ready = self._index.is_ready
        changed = self._index.update(ComponentEdits(lost, gained, present, absent))
        if was_ready:
            self._forget(changed)

    def take_changed_labels(self) -> ChangedLabels | None:
        """Return the labels that may have changed since the last call; None: all may have."""
        changed = self._changed
        self._changed = ChangedLabels(set(), set()) if self._index.is_ready else None
        return changed

    def component(self, node: int) -> Component:
        """Return the component of a node. O(1), or O(members log members) after it has changed."""
        self.finish()
        return self._component(self._index.label(node))

    def is_named(self, node: int) -> bool:
        """Whether the component of a node has named members already, or is small. O(1)."""
        self.finish()
        label = self._index.label(node)
        return label in self._by_label or self._index.size(label) <= NAMED_AT_ONCE

    def is_listed(self, min_size: int) -> bool:
        """Whether ``largest_first`` is quick: members are named already, or the graph is small."""
        return (self._cycles is not None and min_size > 1) or self._digraph.num_nodes() <= NAMED_AT_ONCE

    def largest_first(self, min_size: int = 2) -> list[Component]:
        """
        List the components of at least ``min_size`` services, largest first, then by first member.

        O(cyclic components), and O(V) once after a change; O(V log V) for a ``min_size`` below 2.
        """
        self.finish()
        if self._cycles is None:
            self._cycles = self._sorted(2)
        if min_size <= 1:
            return self._sorted(1)
        return [component for component in self._cycles if component.size >= min_size]

    def label(self, node: int) -> int:
        """Return the label of the component of a node, which must be known, until it changes."""
        return self._index.label(node)

    def cyclic(self, most: int) -> list[Excerpt]:
        """
        List the cyclic components, which must be known, with up to ``most`` members each.

        In no particular order. O(V) on an array; changed components cost O(members log members)
        more, or what ``ComponentExcerpts`` says if they are larger than ``most``. May run in a
        thread while the graph does not change.
        """
        return [self.excerpts.of(label, most, self._members) for label in self._index.labels(2)]

    def _members(self, label: int) -> tuple[str, ...]:
        return self._component(label).members

    def finish(self) -> None:
        """Search now if components are not known; see ``is_ready``."""
        if not self._index.is_ready:
            search = self.begin()
            search.run()
            self.adopt(search)

    def _sorted(self, min_size: int) -> list[Component]:
        found = [self._component(label) for label in self._index.labels(min_size)]
        return sorted(found, key=lambda component: (-component.size, component.members))

    def _component(self, label: int) -> Component:
        found = self._by_label.get(label)
        if found is not None:
            return found
        names = sorted_names([self._digraph[node].name for node in self._index.members(label)])
        if len(names) == 1:
            return Component(tuple(names), 0)
        made = self._by_label[label] = Component(tuple(names), self._index.edge_count(label))
        return made

    def _forget(self, changed: ChangedLabels | None) -> None:
        """Drop what may have changed; None: everything."""
        self.excerpts.forget(changed)
        if changed is None:
            self._by_label.clear()
            self._cycles = self._changed = None
            return
        for label in changed.reformed:
            if self._by_label.pop(label, None) is not None or self._index.size(label) > 1:
                self._cycles = None
        for label in changed.recounted - changed.reformed:
            former = self._by_label.get(label)
            if former is not None:
                memo = Memo(former.memo.members)
                self._by_label[label] = Component(former.members, self._index.edge_count(label), memo)
                self._cycles = None
        if self._changed is not None:
            self._changed.reformed.update(changed.reformed)
            self._changed.recounted.update(changed.recounted)
