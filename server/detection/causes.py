"""What happened to the graph since the alerts were last level with it, as far as it was seen."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeAlias

from server.domain.detection import CyclePath, KeptAlert, smallest_first
from server.domain.graph_events import GAINS, LOSSES, GraphEvent, GraphEventKind, UnseenCause

_MOST_NAMED = 3
_WORDS = {
    GraphEventKind.ADDED: "{} → {} was added",
    GraphEventKind.REVIVED: "{} → {} is fresh again",
    GraphEventKind.TRUSTED: "{} → {} reached the least confidence",
    GraphEventKind.REMOVED: "{} → {} was removed",
    GraphEventKind.STALE: "{} → {} went stale",
    GraphEventKind.DOUBTED: "{} → {} fell below the least confidence",
}
_UNSEEN = {
    UnseenCause.TOOK_OVER: "the cause was not seen: it came before this server took over",
    UnseenCause.RELOADED: "the cause was not seen: the whole graph was read anew",
    UnseenCause.LARGE: "the cause was not seen: it was among very many changes at once",
    UnseenCause.COMPARED: "the cause was not seen: it was found when alerts and graph were compared",
}
UNKNOWN = "the cause is not known"


@dataclass(frozen=True, slots=True)
class Causes:
    """
    Moves since the last round, in the names of today, the latest last; ``unseen``: why some may be missing.

    ``renames`` lead from names of the last round to those of today.
    """

    moves: Sequence[GraphEvent] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    unseen: UnseenCause | None = None

    def of_loss(self, members: Collection[str], path: CyclePath = ()) -> str:
        """Say why services that all reached each other don't any more; what was lost from ``path`` comes first."""
        inside = set(members)
        gone = {
            move.source
            for move in self.moves
            if move.kind is GraphEventKind.SERVICE_REMOVED and move.source in inside
        }
        lost = [
            move
            for move in self.moves
            if move.kind in LOSSES
            and {move.source, move.target} <= inside
            and not gone & {move.source, move.target}
        ]
        steps = _steps(path)
        lost.sort(key=lambda move: ((move.source, move.target) not in steps, move.source, move.target))
        return self._told([*(f"service {name} was removed" for name in sorted(gone)), *_phrases(lost)])

    def of_gain(
        self, members: Collection[str], former: Sequence[Collection[str]] = (), path: CyclePath = ()
    ) -> str:
        """
        Say why services all reach each other now; dependencies inside one of the ``former`` components had no part in that.

        What was gained on ``path`` comes first.
        """
        inside = set(members)
        group = {name: place for place, names in enumerate(former) for name in names}
        gained = [
            move
            for move in self.moves
            if move.kind in GAINS and {move.source, move.target} <= inside and not _within(move, group)
        ]
        steps = _steps(path)
        gained.sort(key=lambda move: ((move.source, move.target) not in steps, move.source, move.target))
        return self._told(_phrases(gained))

    def of_path(self, former: CyclePath, path: CyclePath) -> str:
        """Say why another cycle stands for a component now: something of the former one was lost, or the new one was gained."""
        was, now = _steps(former), _steps(path)
        moves = [
            move
            for move in self.moves
            if (move.kind in LOSSES and (move.source, move.target) in was)
            or (move.kind in GAINS and (move.source, move.target) in now)
        ]
        moves.sort(key=lambda move: (move.source, move.target))
        called = {new: old for old, new in self.renames.items()}
        renames = [f"{called[name]} is called {name} now" for name in path if name in called]
        return self._told([*_phrases(moves), *renames])

    def renamed(self, alert: KeptAlert) -> KeptAlert:
        """Return an alert as it would be had its services had today's names before. O(members) if any was renamed."""
        if not self.renames:
            return alert
        now = self.renames
        return replace(
            alert,
            cycle_path=smallest_first(tuple(now.get(name, name) for name in alert.cycle_path)),
            members=tuple(sorted(now.get(name, name) for name in alert.members)),
        )

    def _told(self, phrases: Sequence[str]) -> str:
        if not phrases:
            return UNKNOWN if self.unseen is None else _UNSEEN[self.unseen]
        return listed(phrases)


def listed(phrases: Sequence[str]) -> str:
    """Join phrases, each once and three of them at most."""
    distinct = list(dict.fromkeys(phrases))
    more = len(distinct) - _MOST_NAMED
    return ", ".join(distinct[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _steps(path: CyclePath) -> set[tuple[str, str]]:
    return set(zip(path, path[1:] + path[:1], strict=True)) if path else set()


def _phrases(moves: Sequence[GraphEvent]) -> list[str]:
    return [_WORDS[move.kind].format(move.source, move.target) for move in moves]


def _within(move: GraphEvent, group: Mapping[str, int]) -> bool:
    source = group.get(move.source)
    return source is not None and source == group.get(move.target)


Step: TypeAlias = Sequence[GraphEvent] | UnseenCause

# More are not worth being told apart.
_MOST_MOVES = 5_000


class GraphEventLog:
    """``domain.moves.GraphEventObserver`` that remembers while somebody collects; one event loop."""

    def __init__(self, least_confidence: float) -> None:
        self._least_confidence = least_confidence
        self._collects = False
        self._steps: list[Step] = []
        self._count = 0
        self._moved = asyncio.Event()

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None while nobody collects."""
        return self._least_confidence if self._collects else None

    def graph_moved(self, moves: Step) -> None:
        """Take note that the graph moved."""
        self._moved.set()
        if self._collects and moves:
            self._steps.append(moves)
            self._count += _weight(moves)
            self._shorten()

    def begin(self) -> None:
        """Collect from now on."""
        self._collects = True
        self._steps, self._count = [UnseenCause.TOOK_OVER], 0

    def end(self) -> None:
        """Collect no more."""
        self._collects = False
        self._steps, self._count = [], 0

    def take(self) -> list[Step]:
        """Take what was collected."""
        taken, self._steps, self._count = self._steps, [], 0
        return taken

    def put_back(self, taken: list[Step]) -> None:
        """Let what was taken come before what was collected since."""
        self._steps = taken + self._steps
        self._count += sum(map(_weight, taken))
        self._shorten()

    async def wait(self, within: timedelta) -> bool:
        """Wait until the graph moves, unless it has since the last wait; False when the time was over first."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._moved.wait()
        except TimeoutError:
            return False
        self._moved.clear()
        return True

    def _shorten(self) -> None:
        if self._count > _MOST_MOVES:
            # Without the names of today no alert would be found again.
            renames = [
                [move for move in step if move.kind is GraphEventKind.SERVICE_RENAMED]
                for step in self._steps
                if not isinstance(step, UnseenCause)
            ]
            self._steps = [UnseenCause.LARGE, *filter(None, renames)]
            self._count = 0


def causes_of(steps: Sequence[Step]) -> Causes:
    """Sum up steps of the graph, in the names that services have after the last one. O(moves)."""
    moves: list[GraphEvent] = []
    renames: dict[str, str] = {}
    unseen: UnseenCause | None = None
    for step in steps:
        if isinstance(step, UnseenCause):
            unseen = step
            continue
        renamed = {move.source: move.target for move in step if move.kind is GraphEventKind.SERVICE_RENAMED}
        if renamed:
            moves = [GraphEvent(move.kind, *_called(renamed, move.source, move.target)) for move in moves]
            renames = _composed(renames, renamed)
        # What is gained is told in the names after the step, all else in those before it.
        moves += [
            move if move.kind in GAINS else GraphEvent(move.kind, *_called(renamed, move.source, move.target))
            for move in step
            if move.kind is not GraphEventKind.SERVICE_RENAMED
        ]
    return Causes(moves, renames, unseen)


def _weight(step: Step) -> int:
    return 0 if isinstance(step, UnseenCause) else len(step)


def _called(renamed: Mapping[str, str], *names: str) -> list[str]:
    return [renamed.get(name, name) for name in names]


def _composed(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """Follow names through two steps, in each of which all are renamed at once."""
    both = {old: then.get(new, new) for old, new in first.items()}
    reached = set(first.values())
    # A name that the first step gave away and took back stands for another service by now.
    both |= {old: new for old, new in then.items() if old not in reached and old not in first}
    return {old: new for old, new in both.items() if old != new}
