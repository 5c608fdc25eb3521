"""Calls between services as arrays: of a graph as it is, and with some pairs changed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.proposed_change import Numbering
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import FRESH, OUT
from graphcore.kernels import calls as kernels
from graphcore.kernels.components import ENDS, GROUP, SEQUENCE, WORK_ROWS, full
from graphcore.kernels.what_if import rows

Numbers = NDArray[np.int32]


class Calls(NamedTuple):
    """
    Calls between numbered nodes, parallel ones included, with the edge of each in the graph.

    Node ``n`` calls ``target[start[n] : start[n + 1]]``.
    """

    start: Numbers
    target: Numbers
    edge: Numbers


def calls_between(
    index: TraversalIndex, chosen: Numbers, *, min_confidence: float = 0.0, blocked: int = 0
) -> Calls:
    """
    Copy the fresh edges between ``chosen`` nodes with ``min_confidence`` and no ``blocked`` flag.

    Nodes are numbered in the order of ``chosen``. O(V + their edges).
    """
    number_of = np.full(len(index.nodes), -1, np.int32)
    number_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    room = int(index.nodes[chosen, OUT + FRESH].sum())
    start = np.empty(len(chosen) + 1, np.int32)
    target, edge = np.empty(room, np.int32), np.empty(room, np.int32)
    count = kernels.gather_edges.run(
        *index.arrays, min_confidence, blocked, chosen, number_of, start, target, edge
    )
    return Calls(start, target[:count], edge[:count])


def reversed_calls(start: Numbers, target: Numbers) -> tuple[Numbers, Numbers]:
    """Return where the calls to each node begin, and their places, smallest first. O(V + E)."""
    back_start, back = np.empty_like(start), np.empty_like(target)
    kernels.turn_round.run(start, target, back_start, back)
    return back_start, back


def sources(start: Numbers) -> Numbers:
    """Return the caller of each call. O(V + E)."""
    return np.repeat(np.arange(len(start) - 1, dtype=np.int32), np.diff(start))


def component_around(
    index: TraversalIndex, node: int, *, min_confidence: float = 0.0, blocked: int = 0
) -> Numbers:
    """List the component of a node over edges as of ``calls_between``. O(V + E)."""
    mark, queue = np.zeros(len(index.nodes), np.int32), np.empty(len(index.nodes), np.int32)
    size = kernels.component_around.run(*index.arrays, min_confidence, blocked, node, mark, queue)
    return queue[:size].copy()


@dataclass(frozen=True, slots=True)
class CallRows:
    """Calls without edges: ``n`` calls ``target[start[n] : start[n + 1]]``, with parallel calls."""

    start: Numbers
    target: Numbers

    def __len__(self) -> int:
        return len(self.start) - 1

    @classmethod
    def of(cls, numbering: Numbering, floor: float) -> "CallRows":
        """Copy the fresh dependencies with at least this confidence. O(V + E)."""
        index, nodes = numbering.graph.index, np.arange(numbering.held, dtype=np.int32)
        start = np.empty(len(numbering) + 1, np.int32)
        target = np.empty(int(index.nodes[:, OUT + FRESH].sum()), np.int32)
        count = full.gather_calls.run(*index.arrays, floor, nodes, nodes, start, target)
        start[len(nodes) :] = count
        return cls(start, target[:count])

    def edited(self, lost: Numbers, gained: Numbers) -> "CallRows":
        """Copy them without ``lost`` and with ``gained`` pairs (see ``PairStates``). O(V + E)."""
        start, target = np.empty_like(self.start), np.empty(len(self.target) + gained.shape[1], np.int32)
        mark: Numbers = np.zeros(len(self), np.int32)
        count = rows.edit_rows.run(self.start, self.target, lost, gained, mark, start, target)
        return CallRows(start, target[:count])

    def among(self, chosen: Numbers, number_of: Numbers) -> "CallRows":
        """Copy the calls between chosen services; ``number_of`` is scratch, all -1. O(calls)."""
        number_of[chosen] = np.arange(len(chosen), dtype=np.int32)
        start = np.empty(len(chosen) + 1, np.int32)
        target = np.empty(int((self.start[chosen + 1] - self.start[chosen]).sum()), np.int32)
        count = rows.choose_rows.run(self.start, self.target, chosen, number_of, start, target)
        number_of[chosen] = -1
        return CallRows(start, target[:count])

    def downstream(self, seeds: Numbers) -> tuple[Numbers, NDArray[np.uint8]]:
        """List the seeds and all that they reach, nearest first, and mark them with 1. O(V + E)."""
        queue, marked = np.empty(len(self), np.int32), np.zeros(len(self), np.uint8)
        queue[: len(seeds)] = seeds
        marked[seeds] = 1
        tail = rows.downstream_of.run(self.start, self.target, queue, marked, len(seeds))
        return queue[:tail], marked


@dataclass(frozen=True, slots=True)
class StrongComponents:
    """The strongly connected components of calls, numbered so that none calls a later one."""

    group: Numbers
    """The component of each service."""
    sequence: Numbers
    """All services by component."""
    ends: Numbers
    """Where each component ends in ``sequence``."""

    @classmethod
    def of(cls, calls: CallRows) -> "StrongComponents":
        """Find them by Tarjan's algorithm. O(V + E); compiled, it lets other threads run."""
        count = len(calls)
        work = np.empty((WORK_ROWS, count + 1), np.int32)
        found = full.strong_components.run(calls.start, calls.target, work, count)
        return cls(work[GROUP, :count], work[SEQUENCE, :count], work[ENDS, :found])

    def __len__(self) -> int:
        return len(self.ends)

    def members(self, component: int) -> Numbers:
        """Return the services of a component. O(1)."""
        begin = int(self.ends[component - 1]) if component else 0
        return self.sequence[begin : self.ends[component]]

    def is_inside(self, pairs: Numbers) -> NDArray[np.bool_]:
        """Whether both services of each pair (a column each) are in one component. O(pairs)."""
        inside: NDArray[np.bool_] = self.group[pairs[0]] == self.group[pairs[1]]
        return inside


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Calls between all services, and their strongly connected components."""

    calls: CallRows
    strong: StrongComponents

    @classmethod
    def of(cls, calls: CallRows) -> "CallGraph":
        """Find the components. O(V + E)."""
        return cls(calls, StrongComponents.of(calls))

    def changed(self, lost: Numbers, gained: Numbers) -> "CallGraph":
        """Return the call graph without ``lost`` and with ``gained`` pairs. O(V + E)."""
        calls = self.calls.edited(lost, gained)
        is_same = not self.strong.is_inside(lost).any() and bool(self.strong.is_inside(gained).all())
        return CallGraph(calls, self.strong) if is_same else CallGraph.of(calls)

    def condensed(self) -> CallRows:
        """Return the condensation: the calls between components, each pair once. O(V + E)."""
        calls, strong = self.calls, self.strong
        start = np.empty(len(strong) + 1, np.int32)
        target, mark = np.empty(len(calls.target), np.int32), np.full(len(strong), -1, np.int32)
        count = rows.condense.run(
            calls.start, calls.target, strong.group, strong.sequence, strong.ends, start, target, mark
        )
        return CallRows(start, target[:count])


@dataclass(frozen=True, slots=True)
class Cells:
    """
    Services grouped by components: those of a *cell* share theirs before and after a change.

    So what reaches one service of a cell reaches all.
    """

    cell: Numbers
    """The cell of each service."""
    size: Numbers
    """The number of services of each cell."""
    groups: Numbers
    """The component of each cell before (row 0) and after (row 1)."""

    @classmethod
    def of(cls, before: StrongComponents, after: StrongComponents) -> "Cells":
        """Group them. O(V)."""
        count = len(before.group)
        cell, size = np.empty(count, np.int32), np.empty(count, np.int32)
        groups = np.empty((2, count), np.int32)
        mark, latest = np.full(len(after), -1, np.int32), np.empty(len(after), np.int32)
        found = rows.cross.run(before.sequence, before.ends, after.group, cell, size, groups, mark, latest)
        return cls(cell, size[:found], np.ascontiguousarray(groups[:, :found]))
