"""Calls between services as rows of numbers: of a graph as it is, and as it would be with some pairs changed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.proposed_change import Numbering
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import calls as kernels
from graphcore.kernels.components import full
from graphcore.kernels.components.layout import ENDS, GROUP, SEQUENCE, WORK_ROWS
from graphcore.kernels.layout import FRESH, OUT
from graphcore.kernels.what_if import condensation, rows

Numbers = NDArray[np.int32]


class Calls(NamedTuple):
    """
    Calls between nodes that are numbered from 0 on: number ``n`` calls ``target[start[n] : start[n + 1]]``, parallel calls each.

    ``edge`` stands beside ``target``: the index of the edge in the graph, where the calls come from one.
    """

    start: Numbers
    target: Numbers
    edge: Numbers


class Callers(NamedTuple):
    """The same the other way round: number ``n`` is called by ``caller[start[n] : start[n + 1]]``, smallest first."""

    start: Numbers
    caller: Numbers


def calls_between(
    index: TraversalIndex, chosen: Numbers, *, min_confidence: float = 0.0, blocked: int = 0
) -> Calls:
    """
    Copy the edges between nodes, numbered in the order of ``chosen``, that are not stale, have ``min_confidence`` and no flag of ``blocked``.

    O(V + their edges), a copy of its own; no scratch of the graph is used, and others may read it meanwhile.
    """
    number_of = np.full(len(index.nodes), -1, np.int32)
    number_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    room = int(index.nodes[chosen, OUT + FRESH].sum())
    start = np.empty(len(chosen) + 1, np.int32)
    target, edge = np.empty(room, np.int32), np.empty(room, np.int32)
    count = kernels.gather_edges.run(
        index.nodes,
        index.pool,
        index.confidence,
        min_confidence,
        blocked,
        chosen,
        number_of,
        start,
        target,
        edge,
    )
    return Calls(start, target[:count], edge[:count])


def calls_of_pairs(count: int, sources: Numbers, targets: Numbers) -> Calls:
    """Make rows of plain pairs, of nodes below ``count``; ``edge`` is the place of each pair among them. O(V + E log E)."""
    order = np.argsort(sources, kind="stable").astype(np.int32)
    start = np.searchsorted(sources[order], np.arange(count + 1)).astype(np.int32)
    return Calls(start, np.ascontiguousarray(targets[order], np.int32), order)


def callers(start: Numbers, target: Numbers) -> Callers:
    """Turn rows of calls round. O(V + E)."""
    back_start, call = np.empty_like(start), np.empty_like(target)
    kernels.turn_round.run(start, target, back_start, call)
    return Callers(back_start, sources(start)[call])


def sources(start: Numbers) -> Numbers:
    """Name the caller of each call. O(V + E)."""
    return np.repeat(np.arange(len(start) - 1, dtype=np.int32), np.diff(start))


def component_around(
    index: TraversalIndex, node: int, *, min_confidence: float = 0.0, blocked: int = 0
) -> Numbers:
    """
    Find the nodes that reach a node and are reached by it, itself included, over the edges that ``calls_between`` would copy.

    In no particular order. O(V + E) at worst, without what the graph keeps of its components.
    """
    mark, queue = np.zeros(len(index.nodes), np.int32), np.empty(len(index.nodes), np.int32)
    size = kernels.component_around.run(
        index.nodes, index.pool, index.confidence, min_confidence, blocked, node, mark, queue
    )
    return queue[:size].copy()


@dataclass(frozen=True, slots=True)
class CallRows:
    """Number ``n`` calls ``target[start[n] : start[n + 1]]``, parallel calls each."""

    start: Numbers
    target: Numbers

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of(cls, numbering: Numbering, floor: float) -> "CallRows":
        """Copy the dependencies that are fresh and of at least this confidence; new services call nobody yet. O(V + E)."""
        index, nodes = numbering.graph.index, numbering.nodes
        start = np.empty(len(numbering) + 1, np.int32)
        target = np.empty(int(index.nodes[nodes, OUT + FRESH].sum()), np.int32)
        places = numbering.number_by_node
        count = full.gather_calls.run(
            index.nodes, index.pool, index.confidence, floor, nodes, places, start, target
        )
        start[len(nodes) :] = count
        return cls(start, target[:count])

    def edited(self, lost: Numbers, gained: Numbers) -> "CallRows":
        """Copy them without some pairs and with others, which are as ``PairStates`` has them. O(V + E)."""
        start, target = np.empty_like(self.start), np.empty(len(self.target) + gained.shape[1], np.int32)
        mark: Numbers = np.zeros(len(self), np.int32)
        count = rows.edit_rows.run(self.start, self.target, lost, gained, mark, start, target)
        return CallRows(start, target[:count])

    def among(self, chosen: Numbers, number_of: Numbers) -> "CallRows":
        """Copy the calls between some services, numbered in their order. ``number_of`` is -1 for every service, before and after. O(their calls)."""
        number_of[chosen] = np.arange(len(chosen), dtype=np.int32)
        start = np.empty(len(chosen) + 1, np.int32)
        target = np.empty(int((self.start[chosen + 1] - self.start[chosen]).sum()), np.int32)
        count = rows.choose_rows.run(self.start, self.target, chosen, number_of, start, target)
        number_of[chosen] = -1
        return CallRows(start, target[:count])

    def downstream(self, seeds: Numbers) -> tuple[Numbers, NDArray[np.uint8]]:
        """List some services and whom they reach, nearest first, and mark them with 1. O(V + E)."""
        queue, marked = np.empty(len(self), np.int32), np.zeros(len(self), np.uint8)
        queue[: len(seeds)] = seeds
        marked[seeds] = 1
        tail = rows.downstream_of.run(self.start, self.target, queue, marked, len(seeds))
        return queue[:tail], marked


@dataclass(frozen=True, slots=True)
class Strong:
    """
    The strongly connected components of some calls, numbered so that none calls a later one.

    ``group`` has the component of each service; ``sequence`` all services, component by component, ``ends`` where each ends in it.
    """

    group: Numbers
    sequence: Numbers
    ends: Numbers

    @classmethod
    def of(cls, calls: CallRows) -> "Strong":
        """Find them. O(V + E), Tarjan's algorithm; compiled, it lets other threads run."""
        count = len(calls)
        work = np.empty((WORK_ROWS, count + 1), np.int32)
        found = full.strong_components.run(calls.start, calls.target, work, count)
        return cls(work[GROUP, :count], work[SEQUENCE, :count], work[ENDS, :found])

    def __len__(self) -> int:
        return len(self.ends)

    def members(self, component: int) -> Numbers:
        """Give the services of a component. O(1)."""
        begin = int(self.ends[component - 1]) if component else 0
        return self.sequence[begin : self.ends[component]]

    def is_inside(self, pairs: Numbers) -> NDArray[np.bool_]:
        """Tell for each pair, a column each, whether both services are in one component. O(pairs)."""
        inside: NDArray[np.bool_] = self.group[pairs[0]] == self.group[pairs[1]]
        return inside


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Calls at one time, and their components."""

    calls: CallRows
    strong: Strong

    @classmethod
    def of(cls, calls: CallRows) -> "Snapshot":
        """Find the components. O(V + E)."""
        return cls(calls, Strong.of(calls))

    def changed(self, lost: Numbers, gained: Numbers) -> "Snapshot":
        """Make the snapshot without some pairs and with others. O(V + E), less where no component can change."""
        calls = self.calls.edited(lost, gained)
        is_same = not self.strong.is_inside(lost).any() and bool(self.strong.is_inside(gained).all())
        return Snapshot(calls, self.strong) if is_same else Snapshot.of(calls)

    def condensed(self) -> CallRows:
        """Tell which component calls which, each pair once. O(V + E)."""
        calls, strong = self.calls, self.strong
        start = np.empty(len(strong) + 1, np.int32)
        target, mark = np.empty(len(calls.target), np.int32), np.full(len(strong), -1, np.int32)
        count = condensation.condense.run(
            calls.start, calls.target, strong.group, strong.sequence, strong.ends, start, target, mark
        )
        return CallRows(start, target[:count])


@dataclass(frozen=True, slots=True)
class Cells:
    """
    Services sorted by their components before and after: those of one *cell* share both, and so whoever reaches one reaches all.

    By service its ``cell``; by cell its ``size`` and, a row each in ``groups``, both components.
    """

    cell: Numbers
    size: Numbers
    groups: Numbers

    @classmethod
    def of(cls, before: Strong, after: Strong) -> "Cells":
        """Sort them. O(V)."""
        count = len(before.group)
        cell, size = np.empty(count, np.int32), np.empty(count, np.int32)
        groups = np.empty((2, count), np.int32)
        mark, latest = np.full(len(after), -1, np.int32), np.empty(len(after), np.int32)
        found = condensation.cross.run(
            before.sequence, before.ends, after.group, cell, size, groups, mark, latest
        )
        return cls(cell, size[:found], np.ascontiguousarray(groups[:, :found]))
