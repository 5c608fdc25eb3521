"""Proposed changes of dependencies, and the pairs of services that they affect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import SOURCES, STALE
from graphcore.graph.name_order import NameOrder
from graphcore.kernels import FLAGS, OUT_SLOT
from graphcore.kernels.what_if import rows

# For more names than both limits, ``NameOrder`` is used, which lets other threads run.
_FEW, _SHARE = 200, 16


class ProposedDependency(NamedTuple):
    """A dependency to add, or to replace that of the same services and discovery source."""

    source: str
    target: str
    flags: int
    confidence: float = 1.0


class DependencyKey(NamedTuple):
    """Dependencies to remove: of a discovery source (an ``EdgeFlag`` as ``int``), or 0: of all."""

    source: str
    target: str
    discovery_source: int = 0

    def names(self, state: "DependencyState") -> bool:
        """Whether it includes a dependency between its services."""
        return not self.discovery_source or state.discovery_source == self.discovery_source


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """Removals, then additions: none of them twice, and none of a service on itself."""

    added: Sequence[ProposedDependency] = ()
    removed: Sequence[DependencyKey] = ()


class UnknownDependenciesError(LookupError):
    """The dependencies at these ``positions`` of ``ProposedChange.removed`` do not exist."""

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(f"no such dependencies: removed {', '.join(map(str, positions))}")
        self.positions = positions


class DependencyState(NamedTuple):
    """The relevant properties of a dependency between two services."""

    discovery_source: int
    is_stale: bool
    confidence: float

    def counts(self, floor: float) -> bool:
        """Whether it counts: it is fresh and its confidence is at least ``floor``."""
        return not self.is_stale and self.confidence >= floor


Pair: TypeAlias = tuple[int, int]
_Numbers: TypeAlias = NDArray[np.int32]


class Numbering:
    """Numbers services: existing ones are their nodes, new ones follow in order of appearance."""

    def __init__(self, graph: DependencyGraph) -> None:
        self.graph = graph
        # Unused nodes have numbers, too: services without calls, which nothing asks for.
        self.held = len(graph.index.nodes)
        self.new: dict[str, int] = {}
        self._order: NameOrder | None = None

    def __len__(self) -> int:
        return self.held + len(self.new)

    def number(self, name: str) -> int:
        """Return the number of a service; an unknown one becomes a new service."""
        if self.graph.has_service(name):
            return self.graph.node(name)
        return self.new.setdefault(name, len(self))

    def names(self, numbers: _Numbers | Sequence[int]) -> list[str]:
        """Look up names. O(1) each."""
        held, new, digraph = self.held, list(self.new), self.graph.digraph
        return [digraph[n].name if n < held else new[n - held] for n in np.asarray(numbers).tolist()]

    def sorted(self, numbers: _Numbers) -> _Numbers:
        """Sort services by name. O(n log n), or O(V log V) once for many."""
        if len(numbers) <= max(_FEW, len(self) // _SHARE):
            names = self.names(numbers)
            return numbers[sorted(range(len(names)), key=names.__getitem__)]
        if self._order is None:
            self._order = NameOrder.of(self.graph)
        # A new service ranks before the one at its place; several at one place are sorted by name.
        held, order, ranks = self.held, self._order, np.empty((2, len(numbers)), np.int64)
        old = numbers < held
        ranks[0, old], ranks[1, old] = order.rank[numbers[old]], len(self.new)
        if self.new:
            new = sorted(self.new)
            places = np.array([[order.place(self.graph, name) for name in new], range(len(new))])
            at = np.array([self.new[name] - held for name in new]).argsort()
            ranks[:, ~old] = places[:, at[numbers[~old] - held]]
        return numbers[np.lexsort(ranks[::-1])]


class PairStates:
    """
    The dependencies between pairs of services before and after a proposed change.

    The constructor raises ``UnknownDependenciesError``. O(changed dependencies times the
    smaller degree of their ends).
    """

    def __init__(self, numbering: Numbering, change: ProposedChange) -> None:
        has, number = numbering.graph.has_service, numbering.number
        removed: list[Pair | None] = [
            (number(key.source), number(key.target)) if has(key.source) and has(key.target) else None
            for key in change.removed
        ]
        added = [(number(each.source), number(each.target)) for each in change.added]
        self._before = _states(numbering, dict.fromkeys([*filter(None, removed), *added]))
        self._after = dict(self._before)
        self._remove(removed, change.removed)
        for pair, each in zip(added, change.added, strict=True):
            source = each.flags & SOURCES
            kept = [state for state in self._after[pair] if state.discovery_source != source]
            self._after[pair] = [*kept, DependencyState(source, bool(each.flags & STALE), each.confidence)]

    def changed(self, floor: float) -> tuple[_Numbers, _Numbers]:
        """
        List the pairs that call only before and those that call only after, each sorted.

        A column each: row 0 sources, row 1 targets.
        """
        return self._pairs(floor, was=True), self._pairs(floor, was=False)

    def _pairs(self, floor: float, *, was: bool) -> _Numbers:
        found = [
            pair
            for pair, states in self._before.items()
            if any(state.counts(floor) for state in states) is was
            and any(state.counts(floor) for state in self._after[pair]) is not was
        ]
        return np.ascontiguousarray(np.array(sorted(found), np.int32).reshape(-1, 2).T)

    def _remove(self, pairs: Sequence[Pair | None], removed: Sequence[DependencyKey]) -> None:
        unknown = []
        for position, (pair, key) in enumerate(zip(pairs, removed, strict=True)):
            if pair is None or not any(map(key.names, self._before[pair])):
                unknown.append(position)
            else:
                self._after[pair] = [state for state in self._after[pair] if not key.names(state)]
        if unknown:
            raise UnknownDependenciesError(unknown)


def _states(numbering: Numbering, pairs: Iterable[Pair]) -> dict[Pair, list[DependencyState]]:
    """Look up the dependencies between pairs of services, of which some may be new."""
    states: dict[Pair, list[DependencyState]] = {pair: [] for pair in pairs}
    there = [pair for pair in states if max(pair) < numbering.held]
    index = numbering.graph.index
    nodes = np.ascontiguousarray(np.array(there, np.int32).reshape(-1, 2).T)
    found, ends = np.empty(2 * len(there), np.int32), np.empty(len(there), np.int32)
    count = rows.edges_between.run(index.nodes, index.pool, nodes, found, ends)
    if count > len(found):
        found = np.empty(count, np.int32)
        rows.edges_between.run(index.nodes, index.pool, nodes, found, ends)
    edges = found[:count]
    flags = index.pool[FLAGS, index.edges[edges, OUT_SLOT]].tolist()
    confidences, begin = index.confidence[edges].tolist(), 0
    for pair, end in zip(there, ends.tolist(), strict=True):
        states[pair] = [
            DependencyState(flags[at] & SOURCES, bool(flags[at] & STALE), confidences[at])
            for at in range(begin, end)
        ]
        begin = end
    return states
