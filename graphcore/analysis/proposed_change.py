"""Proposed changes of dependencies, and the pairs of services that they affect."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import SOURCES, STALE
from graphcore.graph.name_order import NameOrder
from graphcore.kernels.layout import FLAGS, OUT_SLOT
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
    """
    A proposed change; removals come first.

    Adds no dependency twice, and none of a service on itself.
    """

    added: Sequence[ProposedDependency] = ()
    removed: Sequence[DependencyKey] = ()


class UnknownDependenciesError(LookupError):
    """
    Dependencies to remove do not exist.

    ``positions`` are indices in ``ProposedChange.removed``.
    """

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


@dataclass(slots=True)
class Numbering:
    """Numbers services: existing ones by node, then new ones in order of appearance."""

    graph: DependencyGraph
    nodes: NDArray[np.int32]
    number_by_node: NDArray[np.int32]
    new: dict[str, int] = field(default_factory=dict)
    _order: NameOrder | None = None

    @classmethod
    def of(cls, graph: DependencyGraph) -> "Numbering":
        """Assign numbers to the services of a graph. O(V)."""
        nodes = np.array(graph.digraph.node_indices(), np.int32)
        number_by_node: NDArray[np.int32] = np.full(len(graph.index.nodes), -1, np.int32)
        number_by_node[nodes] = np.arange(len(nodes), dtype=np.int32)
        return cls(graph, nodes, number_by_node)

    def __len__(self) -> int:
        return len(self.nodes) + len(self.new)

    def number(self, name: str) -> int:
        """Return the number of a service; an unknown one becomes a new service."""
        if self.graph.has_service(name):
            return int(self.number_by_node[self.graph.node(name)])
        return self.new.setdefault(name, len(self))

    def names(self, numbers: NDArray[np.int32] | Sequence[int]) -> list[str]:
        """Look up names. O(1) each."""
        held, new, digraph, nodes = len(self.nodes), list(self.new), self.graph.digraph, self.nodes
        wanted = np.asarray(numbers).tolist()
        return [digraph[int(nodes[n])].name if n < held else new[n - held] for n in wanted]

    def sorted(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Sort services by name. O(n log n), or O(V log V) once for many."""
        if len(numbers) <= max(_FEW, len(self) // _SHARE):
            names = self.names(numbers)
            return numbers[sorted(range(len(names)), key=names.__getitem__)]
        if self._order is None:
            self._order = NameOrder.of(self.graph)
        # A new service ranks before the one at its place; several at one place are sorted by name.
        held, order, ranks = len(self.nodes), self._order, np.empty((2, len(numbers)), np.int64)
        old = numbers < held
        ranks[0, old], ranks[1, old] = order.rank[self.nodes[numbers[old]]], len(self.new)
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

    __slots__ = ("_after", "_before")

    def __init__(self, numbering: Numbering, change: ProposedChange) -> None:
        self._before: dict[Pair, list[DependencyState]] = {}
        self._after: dict[Pair, list[DependencyState]] = {}
        graph, numbers = numbering.graph, numbering.number
        known = [
            key for key in change.removed if graph.has_service(key.source) and graph.has_service(key.target)
        ]
        ends = [(numbers(key.source), numbers(key.target)) for key in known]
        ends += [(numbers(each.source), numbers(each.target)) for each in change.added]
        self._look_up(numbering, list(dict.fromkeys(ends)))
        self._remove(numbering, change.removed)
        for pair, each in zip(ends[len(known) :], change.added, strict=True):
            source = each.flags & SOURCES
            kept = [state for state in self._after[pair] if state.discovery_source != source]
            self._after[pair] = [*kept, DependencyState(source, bool(each.flags & STALE), each.confidence)]

    def lost(self, floor: float) -> NDArray[np.int32]:
        """List the pairs that call before and not after, sorted: row 0 sources, row 1 targets."""
        return self._pairs(floor, was=True)

    def gained(self, floor: float) -> NDArray[np.int32]:
        """List the pairs that call after and not before, as ``lost``."""
        return self._pairs(floor, was=False)

    def _pairs(self, floor: float, *, was: bool) -> NDArray[np.int32]:
        found = [
            pair
            for pair, states in self._before.items()
            if any(state.counts(floor) for state in states) is was
            and any(state.counts(floor) for state in self._after[pair]) is not was
        ]
        return np.ascontiguousarray(np.array(sorted(found), np.int32).reshape(-1, 2).T)

    def _look_up(self, numbering: Numbering, pairs: list[Pair]) -> None:
        held = len(numbering.nodes)
        self._before = {pair: [] for pair in pairs}
        there = [pair for pair in pairs if max(pair) < held]
        index = numbering.graph.index
        nodes = np.ascontiguousarray(numbering.nodes[np.array(there, np.int64).reshape(-1, 2).T])
        found, ends = np.empty(2 * len(there), np.int32), np.empty(len(there), np.int32)
        count = rows.edges_between.run(index.nodes, index.pool, nodes, found, ends)
        if count > len(found):
            found = np.empty(count, np.int32)
            rows.edges_between.run(index.nodes, index.pool, nodes, found, ends)
        edges = found[:count]
        flags = index.pool[FLAGS, index.edges[edges, OUT_SLOT]].tolist()
        confidences, begin = index.confidence[edges].tolist(), 0
        for pair, end in zip(there, ends.tolist(), strict=True):
            self._before[pair] = [
                DependencyState(flags[at] & SOURCES, bool(flags[at] & STALE), confidences[at])
                for at in range(begin, end)
            ]
            begin = end
        self._after = dict(self._before)

    def _remove(self, numbering: Numbering, removed: Sequence[DependencyKey]) -> None:
        unknown = []
        graph = numbering.graph
        for position, key in enumerate(removed):
            pair = (-1, -1)
            if graph.has_service(key.source) and graph.has_service(key.target):
                pair = (numbering.number(key.source), numbering.number(key.target))
            if any(key.names(state) for state in self._before.get(pair, ())):
                self._after[pair] = [state for state in self._after[pair] if not key.names(state)]
            else:
                unknown.append(position)
        if unknown:
            raise UnknownDependenciesError(unknown)
