"""The strongly connected components by node, updated while the graph changes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from graphcore.compiling import budget
from graphcore.components.edits import ChangedLabels, ComponentEdits, joined
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import EDGE, FRESH, NEIGHBOUR, USED
from graphcore.kernels import components as at
from graphcore.kernels.components import full, update

MOST_VISITS = 50_000
"""Visits of nodes and edges in one update: 1 to 2 ms."""

_MOST_PENDING = 10 * MOST_VISITS
_GREATEST_STAMP = 2**30
_FEW = 1_000


class ComponentSearch:
    """
    Finds the components of a graph as of the construction of this object.

    ``nodes`` are all nodes; edges count if their confidence is at least ``floor``. The constructor
    copies arrays, some milliseconds for a million edges. ``run`` takes several times as long; call
    it once, from any thread.
    """

    def __init__(self, adjacency: TraversalIndex, nodes: NDArray[np.int32], floor: float) -> None:
        rows = (EDGE if floor > 0.0 else NEIGHBOUR) + 1
        self._places = nodes
        self._floor = floor
        self._nodes = adjacency.nodes.copy()
        self._pool = adjacency.pool[:rows, : adjacency.ledger[USED]].copy()
        self._confidence = adjacency.confidence.copy() if floor > 0.0 else np.empty(0)
        self.state: NDArray[np.int32] = np.empty((at.STATE_ROWS, 0), np.int32)
        self.order: NDArray[np.float64] = np.empty(0)
        self.counters: NDArray[np.int64] = np.zeros(at.COUNTERS, np.int64)

    def run(self) -> None:
        """Search. O(V + E); compiled, it lets other threads run."""
        capacity, count = len(self._nodes), len(self._places)
        self.state = np.zeros((at.STATE_ROWS, capacity), np.int32)
        self.state[at.LABEL] = at.NO_LABEL
        self.state[at.LOCAL] = -1
        self.order = np.empty(capacity)
        start, target = np.empty(count + 1, np.int32), np.empty(self._nodes[:, FRESH].sum(), np.int32)
        local = np.full(capacity, -1, np.int32)
        local[self._places] = np.arange(count)
        full.gather_calls.run(
            self._nodes, self._pool, self._confidence, self._floor, self._places, local, start, target
        )
        work = np.empty((at.WORK_ROWS, count + 1), np.int32)
        found = full.find_components.run(start, target, work, self._places, self.state, self.order)
        self.counters[at.FREE_COUNT] = capacity - found


class ComponentIndex:
    """
    The strongly connected components of a graph, each with a *label* (an integer).

    An update costs what it affects. If that exceeds ``work`` visits, and at the start, all
    components must be searched: ``begin``, run the search in any thread, ``adopt``. Changes made
    meanwhile are recorded and applied by ``adopt``. Until then ``is_ready`` is false and no
    component may be read.

    Edges count if they are not stale and have a confidence of at least ``floor``. Change the index
    from one thread only. A label is valid until ``update`` or ``adopt`` changes its component.
    """

    def __init__(self, adjacency: TraversalIndex, *, floor: float = 0.0, work: int | None = None) -> None:
        self.is_ready = False
        self._adjacency = adjacency
        self._floor = floor
        self._work = work
        self._search: ComponentSearch | None = None
        self._pending_edits: list[ComponentEdits] = []
        self._state: NDArray[np.int32] = np.zeros((at.STATE_ROWS, 0), np.int32)
        self._order: NDArray[np.float64] = np.empty(0, np.float64)
        self._counters: NDArray[np.int64] = np.zeros(at.COUNTERS, np.int64)
        self._lists: NDArray[np.int32] = np.empty((at.LIST_ROWS, 0), np.int32)

    @property
    def needs_edits(self) -> bool:
        """Whether changes need ``update``: components are known, or being searched."""
        return self.is_ready or self._search is not None

    def begin(self, nodes: NDArray[np.int32]) -> ComponentSearch:
        """Return a search of the graph as it is now; an earlier search is cancelled. O(V + E)."""
        self._search, self._pending_edits = ComponentSearch(self._adjacency, nodes, self._floor), []
        return self._search

    def adopt(self, search: ComponentSearch) -> bool:
        """
        Take over the result of a search and apply later changes; returns ``is_ready``.

        It is not if too much changed meanwhile, or if another search began.
        """
        if search is self._search:
            pending = self._pending_edits
            self._search, self._pending_edits = None, []
            if self.is_ready:
                return True
            self._state, self._order, self._counters = search.state, search.order, search.counters
            self.is_ready = True
            if pending:
                self._apply(joined(pending))
        return self.is_ready

    def update(self, edits: ComponentEdits) -> ChangedLabels | None:
        """Follow a change set that the adjacency has; None: all components may have changed."""
        if self._search is not None:
            self._pending_edits.append(edits)
            if sum(map(len, self._pending_edits)) > _MOST_PENDING:
                self._search, self._pending_edits = None, []
        return self._apply(edits) if self.is_ready else None

    def label(self, node: int) -> int:
        """Return the label of the component of a node. O(1)."""
        return int(self._state[at.LABEL, node])

    def size(self, label: int) -> int:
        """Return the number of members. O(1)."""
        return int(self._state[at.SIZE, label])

    def edge_count(self, label: int) -> int:
        """Return the number of edges between members, including parallel ones. O(1)."""
        return int(self._state[at.EDGES, label])

    def members(self, label: int) -> list[int]:
        """List the nodes of a component. O(members), or O(V) on an array if they are many."""
        size = self.size(label)
        if size > _FEW:
            return np.flatnonzero(self._state[at.LABEL] == label).tolist()
        following, node = self._state[at.NEXT].item, int(self._state[at.HEAD, label])
        return [node, *(node := following(node) for _ in range(size - 1))]

    def inside(self, label: int) -> NDArray[np.bool_]:
        """Mark the nodes of a component in a new array. O(V)."""
        inside: NDArray[np.bool_] = self._state[at.LABEL] == label
        return inside

    def labels_of(self, nodes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the labels of nodes, all of which must exist. O(nodes)."""
        labels: NDArray[np.int32] = self._state[at.LABEL, nodes]
        return labels

    def labels(self, min_size: int) -> list[int]:
        """List the labels of components of at least this size. O(V) on an array."""
        return np.flatnonzero(self._state[at.SIZE] >= max(min_size, 1)).tolist()

    def _apply(self, edits: ComponentEdits) -> ChangedLabels | None:
        net, allowed = edits.net(), budget(MOST_VISITS) if self._work is None else self._work
        self.is_ready = len(net) <= allowed
        if not self.is_ready:
            return None
        self._cover(len(self._adjacency.nodes))
        if net.present:
            self._add_nodes(net.present)
        changed = self._connect(net, allowed)
        if changed is None:
            self.is_ready = False
            return None
        if net.present or net.absent:
            changed.reformed.update(
                self._state[at.LABEL, list(net.present)].tolist(), self._remove_nodes(net.absent)
            )
        return changed

    def _connect(self, edits: ComponentEdits, allowed: int) -> ChangedLabels | None:
        """Follow changes of edges; None if that takes more work than allowed."""
        if not len(edits.lost) and not len(edits.gained):
            return ChangedLabels(set(), set())
        counters = self._counters
        counters[at.MOVED], counters[at.PENDING], counters[at.WORK] = 0, 0, allowed
        if counters[at.STAMP] > _GREATEST_STAMP:
            self._state[[at.MARK, at.MARK + 1, at.CHAINED]] = 0
            counters[at.STAMP] = 0
        lost, gained = np.ascontiguousarray(edits.lost.T), np.ascontiguousarray(edits.gained.T)
        kept = self._state, self._order, counters, self._lists
        done = update.update_components.run(*self._adjacency.arrays, self._floor, *kept, lost, gained)
        return self._changed_labels(lost, gained) if done == at.DONE else None

    def _changed_labels(self, *pairs: NDArray[np.int32]) -> ChangedLabels:
        labels = self._state[at.LABEL]
        moved = self._lists[:, : self._counters[at.MOVED]]
        changed = ChangedLabels(
            {*moved[at.MOVED_FROM].tolist(), *labels[moved[at.MOVED_NODE]].tolist()}, set()
        )
        for sources, targets in pairs:
            inside = labels[sources] == labels[targets]
            changed.recounted.update(labels[sources[inside]].tolist())
        return changed

    def _add_nodes(self, nodes: Sequence[int]) -> None:
        """Give each new node a new component."""
        places = np.unique(np.array(nodes, np.int32))
        new = places[self._state[at.LABEL, places] == at.NO_LABEL]
        if not len(new):
            return
        first = int(self._counters[at.FREE_COUNT]) - len(new)
        labels = self._state[at.FREE, first : first + len(new)]
        self._counters[at.FREE_COUNT] = first
        self._state[at.LABEL, new] = labels
        self._state[[[at.NEXT], [at.PREVIOUS]], new] = new
        self._state[at.HEAD, labels] = new
        self._state[at.SIZE, labels] = 1
        self._state[at.EDGES, labels] = 0
        self._order[labels] = 0.0

    def _remove_nodes(self, nodes: Sequence[int]) -> list[int]:
        """Free and return the labels of removed nodes, each of which is alone in its component."""
        places = np.unique(np.array(nodes, np.int32))
        gone = places[self._state[at.LABEL, places] != at.NO_LABEL]
        labels = self._state[at.LABEL, gone]
        first = int(self._counters[at.FREE_COUNT])
        self._state[at.FREE, first : first + len(labels)] = labels
        self._state[at.SIZE, labels] = 0
        self._state[at.LABEL, gone] = at.NO_LABEL
        self._counters[at.FREE_COUNT] = first + len(labels)
        freed: list[int] = labels.tolist()
        return freed

    def _cover(self, capacity: int) -> None:
        """Make room for ``capacity`` nodes."""
        former = self._state.shape[1]
        if capacity > former:
            state = np.zeros((at.STATE_ROWS, capacity), np.int32)
            state[:, :former] = self._state
            state[[at.LABEL, at.LOCAL], former:] = -1
            first = int(self._counters[at.FREE_COUNT])
            state[at.FREE, first : first + capacity - former] = np.arange(capacity - 1, former - 1, -1)
            self._counters[at.FREE_COUNT] = first + capacity - former
            self._state = state
            self._order = np.concatenate((self._order, np.zeros(capacity - former)))
        if not self._lists.shape[1]:
            self._lists = np.empty((at.LIST_ROWS, self._work or MOST_VISITS), np.int32)
