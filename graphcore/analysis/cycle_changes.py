"""How cyclic components change when calls change."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphcore.analysis.call_graph import CallGraph, Numbers, StrongComponents
from graphcore.analysis.cycles import shortest_cycle_of
from graphcore.analysis.proposed_change import Numbering
from graphcore.kernels.what_if import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMBERS, PAIRS = 1_000, 10
"""Members listed of a cycle, and closing pairs listed of a change."""

WAYS_WORK = 20_000_000
"""Services and calls to read in search of cycles through closing pairs: 0.1 s."""

AT_FULL_BUDGET = 10
"""Searches for shortest cycles with a full budget each; more of them share the budget of these."""

_NO_SERVICES: Numbers = np.empty(0, np.int32)


class CycleChangeKind(enum.Enum):
    """What happens to cyclic components that share members."""

    CREATED = "created"
    GROWN = "grown"
    MERGED = "merged"
    DENSER = "denser"
    SHRUNK = "shrunk"
    SPLIT = "split"
    BROKEN = "broken"
    REARRANGED = "rearranged"


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cyclic component: its first MEMBERS by name, its size, and a shortest cycle."""

    members: tuple[str, ...]
    size: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosingPair:
    """A new pair within a component, and a shortest cycle through it if there was time for it."""

    source: str
    target: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CycleChange:
    """A change of cyclic components."""

    kind: CycleChangeKind
    before: tuple[Cycle, ...]
    after: tuple[Cycle, ...]
    closing: tuple[ClosingPair, ...]
    """The first PAIRS of the ``closing_count`` pairs that close new cycles."""
    closing_count: int

    @property
    def adds_cycles(self) -> bool:
        """Whether there are new cycles: a new pair of services within a component."""
        return self.closing_count > 0


def cycle_changes(
    numbering: Numbering, before: CallGraph, after: CallGraph, lost: Numbers, gained: Numbers
) -> list[CycleChange]:
    """
    Compare the cyclic components that ``lost`` and ``gained`` pairs can change.

    Those that add cycles first, then largest first. O(V + E) and the searches for shortest cycles
    (``graphcore.analysis.cycles``).
    """
    closing = gained[:, after.strong.is_inside(gained)]
    opened = lost[:, before.strong.is_inside(lost)]
    pairs: dict[int, list[int]] = {}
    for place, component in enumerate(after.strong.group[closing[0]].tolist()):
        pairs.setdefault(component, []).append(place)
    found = []
    for cluster in _clusters(before.strong, after.strong, before.strong.group[opened[0]].tolist(), pairs):
        own = closing[:, [place for component in cluster.after for place in pairs.get(component, ())]]
        kind = cluster.kind(before.strong, after.strong, adds=own.shape[1] > 0)
        if kind is not None:
            found.append((kind, cluster, own))
    cycles = sum(len(cluster.before) + len(cluster.after) for _, cluster, _ in found)
    named, closing_pairs = _CyclesByName(numbering, cycles), _ClosingPairs(numbering, after)
    changes = [
        CycleChange(
            kind,
            named.cycles(before, cluster.before),
            named.cycles(after, cluster.after),
            closing_pairs.of(own),
            own.shape[1],
        )
        for kind, cluster, own in found
    ]
    return sorted(changes, key=_rank)


def _rank(change: CycleChange) -> tuple[bool, int, str]:
    cycles = change.before + change.after
    largest = max(cycles, key=lambda each: each.size)
    return not change.adds_cycles, -largest.size, min(each.members[0] for each in cycles)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Cyclic components, by number, that share members, directly or through others."""

    before: list[int]
    after: list[int]

    def kind(
        self, before: StrongComponents, after: StrongComponents, *, adds: bool
    ) -> CycleChangeKind | None:
        was, will = _members(before, self.before), _members(after, self.after)
        both = len(np.intersect1d(was, will, assume_unique=True))
        gains, loses = len(will) > both, len(was) > both
        were, will_be = len(self.before), len(self.after)
        if not were or not will_be:
            return CycleChangeKind.BROKEN if were else CycleChangeKind.CREATED
        if (loses and (gains or were > 1)) or (will_be > 1 and (gains or were > 1)):
            return CycleChangeKind.REARRANGED
        if were > 1 or will_be > 1:
            return CycleChangeKind.MERGED if were > 1 else CycleChangeKind.SPLIT
        if gains or loses:
            return CycleChangeKind.GROWN if gains else CycleChangeKind.SHRUNK
        return CycleChangeKind.DENSER if adds else None


def _members(strong: StrongComponents, components: list[int]) -> Numbers:
    return np.concatenate([_NO_SERVICES, *map(strong.members, components)])


def _clusters(
    before: StrongComponents, after: StrongComponents, opened: Iterable[int], closed: Iterable[int]
) -> Iterator[_Cluster]:
    """Yield clusters of components with lost pairs before or gained pairs after, each once."""
    strong, seen = (before, after), set[tuple[int, int]]()
    for first in [*((0, each) for each in opened), *((1, each) for each in closed)]:
        if first in seen:
            continue
        seen.add(first)
        found = [first]
        for when, component in found:
            other = strong[1 - when]
            for linked in np.unique(other.group[strong[when].members(component)]).tolist():
                if (1 - when, linked) not in seen and len(other.members(linked)) > 1:
                    seen.add((1 - when, linked))
                    found.append((1 - when, linked))
        yield _Cluster([c for when, c in found if when == 0], [c for when, c in found if when == 1])


class _CyclesByName:
    """Describes ``count`` cyclic components by name."""

    def __init__(self, numbering: Numbering, count: int) -> None:
        self._numbering = numbering
        self._share = max(count // AT_FULL_BUDGET, 1)
        self._number_of = np.full(len(numbering), -1, np.int32)
        self._sorted: dict[tuple[int, int], Numbers] = {}

    def cycles(self, graph: CallGraph, components: list[int]) -> tuple[Cycle, ...]:
        """Describe components, largest first, then by first member."""
        found = [self._cycle(graph, each) for each in components]
        return tuple(sorted(found, key=lambda each: (-each.size, each.members[0])))

    def _cycle(self, graph: CallGraph, component: int) -> Cycle:
        strong = graph.strong
        # Unchanged components are the same object before and after; sorting takes longest.
        members = self._sorted.get((id(strong), component))
        if members is None:
            members = self._numbering.sorted(strong.members(component))
            self._sorted[id(strong), component] = members
        calls = graph.calls.among(members, self._number_of)
        path = shortest_cycle_of(calls.start, calls.target, share=self._share) or []
        names = self._numbering.names
        return Cycle(tuple(names(members[:MEMBERS])), len(members), tuple(names(members[path])))


class _ClosingPairs:
    """Searches for shortest cycles through pairs, until that takes too long."""

    def __init__(self, numbering: Numbering, after: CallGraph) -> None:
        self._numbering = numbering
        self._after = after
        self._work = WAYS_WORK

    def of(self, pairs: Numbers) -> tuple[ClosingPair, ...]:
        """Describe the first PAIRS of the pairs, by name. O(their component) each."""
        names = self._numbering.names
        by_name = sorted(zip(names(pairs[0]), names(pairs[1]), pairs.T.tolist(), strict=True))
        return tuple(
            ClosingPair(source, target, self._path(*numbers)) for source, target, numbers in by_name[:PAIRS]
        )

    def _path(self, source: int, target: int) -> tuple[str, ...]:
        if self._work < 0:
            return ()
        calls = self._after.calls
        before, queue = np.empty((2, len(calls)), np.int32)
        found: NDArray[np.uint8] = np.zeros(len(calls), np.uint8)
        self._work -= len(calls) + rows.shortest_way.run(
            calls.start, calls.target, self._after.strong.group, target, source, before, found, queue
        )
        path = [source]
        while path[-1] != target:
            path.append(int(before[path[-1]]))
        # The path leads from target to source and was read backwards; the pair closes it.
        names = self._numbering.names(path[::-1])
        smallest = names.index(min(names))
        return tuple(names[smallest:] + names[:smallest])
