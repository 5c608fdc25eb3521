"""What becomes of cyclic components when calls change."""

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphcore.analysis.call_graph import Numbers, Snapshot, Strong
from graphcore.analysis.cycles import shortest_cycle_of
from graphcore.analysis.proposed_change import Numbering
from graphcore.kernels.what_if import rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMBERS, PAIRS = 1_000, 10
"""How many members of a cycle, and how many closing pairs of a change, are told."""

WAYS_WORK = 20_000_000
"""How many services and calls may be looked at for cycles through closing pairs: a tenth of a second."""

AT_FULL_BUDGET = 10
"""How many searches for shortest cycles may each take as long as one alone; more share what these would take."""

_NOBODY: Numbers = np.empty(0, np.int32)


class CycleChangeKind(enum.Enum):
    """What becomes of cyclic components that share members."""

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
    """A cyclic component: its ``size``, the first MEMBERS of its names, sorted, and a shortest cycle from its smallest name on."""

    members: tuple[str, ...]
    size: int
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosingPair:
    """A pair of services that a change lets call each other anew, and a shortest cycle through it, from its smallest name on; empty = not looked for."""

    source: str
    target: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CycleChange:
    """What becomes of some cyclic components; the first PAIRS of ``closing_count`` pairs by which new cycles are closed."""

    kind: CycleChangeKind
    before: tuple[Cycle, ...]
    after: tuple[Cycle, ...]
    closing: tuple[ClosingPair, ...]
    closing_count: int

    @property
    def adds_cycles(self) -> bool:
        """Whether cycles come into being that are not there now: whether a pair of services is gained inside of a component."""
        return self.closing_count > 0


def cycle_changes(
    numbering: Numbering, before: Snapshot, after: Snapshot, lost: Numbers, gained: Numbers
) -> list[CycleChange]:
    """
    Compare the cyclic components that lost and gained pairs of calls can change; those that add cycles first, then largest first.

    O(V + E) and what shortest cycles cost (``graphcore.analysis.cycles``).
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
    told, ways = _Told(numbering, before, after, cycles), _Ways(numbering, after)
    changes = [
        CycleChange(
            kind,
            told.cycles(cluster, is_after=False),
            told.cycles(cluster, is_after=True),
            ways.through(own),
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
    """Cyclic components, by number, that share members directly or by others of the same cluster."""

    before: list[int]
    after: list[int]

    def kind(self, before: Strong, after: Strong, *, adds: bool) -> CycleChangeKind | None:
        """Tell what becomes of them; None = nothing."""
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


def _members(strong: Strong, components: list[int]) -> Numbers:
    return np.concatenate([_NOBODY, *map(strong.members, components)])


def _clusters(
    before: Strong, after: Strong, opened: Iterable[int], closed: Iterable[int]
) -> Iterator[_Cluster]:
    """Gather the components that were opened before, or are closed after, with all that share members with them; each once."""
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


class _Told:
    """Tells cycles by name."""

    def __init__(self, numbering: Numbering, before: Snapshot, after: Snapshot, count: int) -> None:
        self._numbering = numbering
        self._snapshots = (before, after)
        self._share = max(count // AT_FULL_BUDGET, 1)
        self._number_of: Numbers = np.full(len(numbering), -1, np.int32)
        self._sorted: dict[tuple[int, int], Numbers] = {}

    def cycles(self, cluster: _Cluster, *, is_after: bool) -> tuple[Cycle, ...]:
        """Tell all of a cluster, largest first, then by first member."""
        snapshot = self._snapshots[is_after]
        found = [self._cycle(snapshot, each) for each in (cluster.after if is_after else cluster.before)]
        return tuple(sorted(found, key=lambda each: (-each.size, each.members[0])))

    def _cycle(self, snapshot: Snapshot, component: int) -> Cycle:
        strong = snapshot.strong
        # The same components before and after are the same object; sorting is what takes longest.
        members = self._sorted.get((id(strong), component))
        if members is None:
            members = self._numbering.sorted(strong.members(component))
            self._sorted[id(strong), component] = members
        calls = snapshot.calls.among(members, self._number_of)
        path = shortest_cycle_of(calls.start, calls.target, share=self._share) or []
        names = self._numbering.names
        return Cycle(tuple(names(members[:MEMBERS])), len(members), tuple(names(members[path])))


class _Ways:
    """Looks for shortest cycles through pairs, until that takes too long."""

    def __init__(self, numbering: Numbering, after: Snapshot) -> None:
        self._numbering = numbering
        self._after = after
        self._work = WAYS_WORK

    def through(self, pairs: Numbers) -> tuple[ClosingPair, ...]:
        """Tell the first PAIRS of the pairs, by name. O(their component) each."""
        names = self._numbering.names
        by_name = sorted(zip(names(pairs[0]), names(pairs[1]), pairs.T.tolist(), strict=True))
        return tuple(
            ClosingPair(source, target, self._path(*numbers)) for source, target, numbers in by_name[:PAIRS]
        )

    def _path(self, source: int, target: int) -> tuple[str, ...]:
        if self._work < 0:
            return ()
        calls = self._after.calls
        before, queue = np.empty(len(calls), np.int32), np.empty(len(calls), np.int32)
        found: NDArray[np.uint8] = np.zeros(len(calls), np.uint8)
        self._work -= len(calls) + rows.shortest_way.run(
            calls.start, calls.target, self._after.strong.group, target, source, before, found, queue
        )
        path = [source]
        while path[-1] != target:
            path.append(int(before[path[-1]]))
        # The way leads from target to source, and was read from its end; the pair closes it.
        names = self._numbering.names(path[::-1])
        smallest = names.index(min(names))
        return tuple(names[smallest:] + names[:smallest])
