"""The strongly connected components of a graph by name, kept up to date while the graph changes."""

from dataclasses import dataclass, field

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.compiling import budget
from graphcore.components.edits import ComponentEdits, Touched
from graphcore.components.excerpts import ComponentExcerpts, Excerpt
from graphcore.components.index import ComponentIndex
from graphcore.components.search import ComponentSearch
from graphcore.graph.name_order import sorted_names
from graphcore.graph.records import DependencyRecord, ServiceRecord
from graphcore.graph.topology import Topology


class Memo:
    """
    What somebody made of a component, such as its encoded form; opaque to the graph.

    It is forgotten as soon as it is out of date: ``members`` with the names of the members, ``whole`` with the component.
    """

    __slots__ = ("members", "whole")

    def __init__(self, members: object = None) -> None:
        self.members = members
        self.whole: object = None


@dataclass(frozen=True, slots=True)
class Component:
    """
    Services that all reach each other over dependencies that are not stale.

    ``members`` are sorted names; ``edge_count`` counts the dependencies between them that are not stale, parallel ones each.
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
        """Whether the members call each other in a circle, which a service alone does not."""
        return len(self.members) > 1


SEARCHED_AT_ONCE = 50_000
"""Services and dependencies that can be searched between two requests: one to two milliseconds."""

NAMED_AT_ONCE = 5_000
"""Names that are looked up and sorted between two requests: two milliseconds."""


class Components:
    """
    Makes components of what the index knows, and remembers them until they change.

    Until somebody asks for the first time, keeping them costs nothing. What is asked while everything is to be searched
    waits for that; ``is_ready`` tells whether it takes long, and ``begin`` and ``adopt`` let it be done aside.
    """

    __slots__ = ("_by_label", "_cycles", "_digraph", "_index", "_touched", "excerpts")

    def __init__(self, digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord], index: ComponentIndex) -> None:
        self._digraph = digraph
        self._index = index
        self._by_label: dict[int, Component] = {}
        self._cycles: list[Component] | None = None
        self._touched: Touched | None = None
        self.excerpts = ComponentExcerpts(digraph, index)
        """What ``cyclic`` answers from, and what it remembers of components as they were."""

    @property
    def is_known(self) -> bool:
        """Whether every change is being taken into account: somebody asked before, and nothing is to be searched."""
        return self._index.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether one may ask without waiting: components are known, or the graph is small."""
        size = self._digraph.num_nodes() + self._digraph.num_edges()
        return self._index.is_ready or size <= budget(SEARCHED_AT_ONCE)

    def begin(self) -> ComponentSearch:
        """Prepare a search of the graph as it is now, to be run anywhere and then adopted; one begun before no longer counts. O(V + E)."""
        return self._index.begin(np.array(self._digraph.node_indices(), np.int32))

    def adopt(self, search: ComponentSearch) -> bool:
        """Take over what a search found; returns whether components are known now, which they are not if too much changed meanwhile."""
        if not self._index.is_ready:
            self._forget(None)
        return self._index.adopt(search)

    def update(self, lost: NDArray[np.int32], gained: NDArray[np.int32], nodes: NDArray[np.int32]) -> None:
        """
        Take a change set into account that the graph holds already. O(what it touches).

        ``lost`` and ``gained``: the edges that are not stale and went or came, as source and target; ``nodes``: the services that came,
        went, or have another name or key.
        """
        if not self._index.needs_edits:
            return
        present: list[int] = []
        absent: list[int] = []
        for node in nodes.tolist():
            (present if self._digraph.has_node(node) else absent).append(node)
        self.excerpts.renew(nodes)
        was_ready = self._index.is_ready
        touched = self._index.update(ComponentEdits(lost, gained, present, absent))
        if was_ready:
            self._forget(touched)

    def take_touched(self) -> Touched | None:
        """Tell what may have changed since this was last asked; None = everything."""
        touched = self._touched
        self._touched = Touched(set(), set()) if self._index.is_ready else None
        return touched

    def component(self, node: int) -> Component:
        """Look up the component a node is in. O(1), O(its members log of these) when it has changed."""
        self.finish()
        return self._of_label(self._index.label(node))

    def is_named(self, node: int) -> bool:
        """Whether the component a node is in has its members by name, or is small. O(1) where components are known."""
        self.finish()
        label = self._index.label(node)
        return label in self._by_label or self._index.size(label) <= NAMED_AT_ONCE

    def is_listed(self, min_size: int) -> bool:
        """Whether ``largest_first`` takes but a moment: members have been named, or the graph is small."""
        return (self._cycles is not None and min_size > 1) or self._digraph.num_nodes() <= NAMED_AT_ONCE

    def largest_first(self, min_size: int = 2) -> list[Component]:
        """
        List the components of at least ``min_size`` services, largest first, then by first member.

        O(components of two or more), and O(V) once after one has changed; below 2 it is always O(V log V).
        """
        self.finish()
        if self._cycles is None:
            self._cycles = self._sorted(2)
        if min_size <= 1:
            return self._sorted(1)
        return [component for component in self._cycles if component.size >= min_size]

    def label(self, node: int) -> int:
        """Tell components apart by a number, which means the same one until something changes; they must be known. O(1)."""
        return self._index.label(node)

    def cyclic(self, most: int) -> list[Excerpt]:
        """
        List the components of two or more members in no particular order, and name at most so many members of each; they must be known.

        O(V), one pass over an array, + what those cost that have changed: O(members log members), or what ``ComponentExcerpts`` says
        of larger ones than ``most``. May run in a thread while the graph stands still.
        """
        return [self._excerpt(label, most) for label in self._index.labels(2)]

    def _excerpt(self, label: int, most: int) -> Excerpt:
        found = self.excerpts.find(label)
        if found is not None:
            return found
        if self._index.size(label) > most:
            return self.excerpts.keep_cut(label, most)
        return self.excerpts.keep_whole(label, self._of_label(label).members)

    def finish(self) -> None:
        """Search what is not known, now; see ``is_ready`` for how long that takes."""
        if not self._index.is_ready:
            search = self.begin()
            search.run()
            self.adopt(search)

    def _sorted(self, min_size: int) -> list[Component]:
        found = [self._of_label(label) for label in self._index.labels(min_size)]
        return sorted(found, key=lambda component: (-component.size, component.members))

    def _of_label(self, label: int) -> Component:
        found = self._by_label.get(label)
        if found is not None:
            return found
        if self._index.size(label) == 1:
            return Component(self._names(label), 0)
        made = Component(self._names(label), self._index.edge_count(label))
        self._by_label[label] = made
        return made

    def _names(self, label: int) -> tuple[str, ...]:
        return tuple(sorted_names([self._digraph[node].name for node in self._index.members(label)]))

    def _forget(self, touched: Touched | None) -> None:
        """Let go of what may have changed; None = everything."""
        self.excerpts.forget(touched)
        if touched is None:
            self._by_label.clear()
            self._cycles = self._touched = None
            return
        for label in touched.reformed:
            if self._by_label.pop(label, None) is not None or self._index.size(label) > 1:
                self._cycles = None
        for label in touched.recounted - touched.reformed:
            former = self._by_label.get(label)
            if former is not None:
                memo = Memo(former.memo.members)
                self._by_label[label] = Component(former.members, self._index.edge_count(label), memo)
                self._cycles = None
        if self._touched is not None:
            self._touched.reformed.update(touched.reformed)
            self._touched.recounted.update(touched.recounted)


def confident(kept: Components, topology: Topology) -> Components:
    """Keep the components over edges of at least the topology's ``floor``; where that is 0 they are those that are kept anyway."""
    if not topology.floor:
        return kept
    return Components(topology.digraph, ComponentIndex(topology.index, floor=topology.floor))
