"""The causes that alerts name: events of the graph since the last round of detection."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeAlias

from server.domain.detection import (
    GAINS,
    LOSSES,
    CyclePath,
    GraphEvent,
    GraphEventKind,
    KeptAlert,
    UnseenCause,
    smallest_first,
)

MoveEvents: TypeAlias = Sequence[GraphEvent] | UnseenCause
"""The events of one move of the graph, or why they are not known."""

_MOST_NAMED = 3
# With more events since the last round, only renames are kept.
_MOST_EVENTS = 5_000
_WORDS = {
    GraphEventKind.ADDED: "{} → {} was added",
    GraphEventKind.REVIVED: "{} → {} is fresh again",
    GraphEventKind.TRUSTED: "{} → {} reached the least confidence",
    GraphEventKind.REMOVED: "{} → {} was removed",
    GraphEventKind.STALE: "{} → {} went stale",
    GraphEventKind.DOUBTED: "{} → {} fell below the least confidence",
}
_UNSEEN = {
    UnseenCause.TOOK_OVER: "cause unknown: it came before this server took over",
    UnseenCause.RELOADED: "cause unknown: the whole graph was read again",
    UnseenCause.LARGE: "cause unknown: it was among thousands of changes",
    UnseenCause.COMPARED: "cause unknown: alerts and graph differed when they were compared",
}
UNKNOWN = "cause unknown"


@dataclass(frozen=True, slots=True)
class Causes:
    """
    Events since the last round, oldest first, in today's names.

    ``renames`` map names of the last round to today's. ``unseen`` says why events may be missing.
    """

    events: Sequence[GraphEvent] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    unseen: UnseenCause | None = None

    def of_loss(self, members: Collection[str]) -> str:
        """Explain why services no longer all reach each other."""
        inside = set(members)
        gone = {
            event.source
            for event in self.events
            if event.kind is GraphEventKind.SERVICE_REMOVED and event.source in inside
        }
        left = inside - gone
        lost = [
            event for event in self.events if event.kind in LOSSES and {event.source, event.target} <= left
        ]
        return self._explained([*(f"service {name} was removed" for name in sorted(gone)), *_phrases(lost)])

    def of_gain(
        self, members: Collection[str], former: Sequence[Collection[str]] = (), path: CyclePath = ()
    ) -> str:
        """
        Explain why services all reach each other now; gains on ``path`` come first.

        Dependencies inside one of the ``former`` components did not cause that.
        """
        inside = set(members)
        group = {name: place for place, names in enumerate(former) for name in names}
        gained = [
            event
            for event in self.events
            if event.kind in GAINS and {event.source, event.target} <= inside and not _within(event, group)
        ]
        return self._explained(_phrases(gained, path))

    def of_path(self, former: CyclePath, path: CyclePath) -> str:
        """Explain why an alert shows another cycle: losses on the former, gains on the new."""
        was, now = _steps(former), _steps(path)
        events = [
            event
            for event in self.events
            if (event.kind in LOSSES and (event.source, event.target) in was)
            or (event.kind in GAINS and (event.source, event.target) in now)
        ]
        called = {new: old for old, new in self.renames.items()}
        renames = [f"{called[name]} is called {name} now" for name in path if name in called]
        return self._explained([*_phrases(events), *renames])

    def renamed(self, alert: KeptAlert) -> KeptAlert:
        """Return an alert in today's names. O(members) if any service was renamed."""
        if not self.renames:
            return alert
        now = self.renames
        return replace(
            alert,
            cycle_path=smallest_first(tuple(now.get(name, name) for name in alert.cycle_path)),
            members=tuple(sorted(now.get(name, name) for name in alert.members)),
        )

    def _explained(self, phrases: Sequence[str]) -> str:
        if not phrases:
            return UNKNOWN if self.unseen is None else _UNSEEN[self.unseen]
        return listed(phrases)


def listed(phrases: Sequence[str]) -> str:
    """Join phrases: each once, at most three, and how many more there are."""
    distinct = list(dict.fromkeys(phrases))
    more = len(distinct) - _MOST_NAMED
    return ", ".join(distinct[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _steps(path: CyclePath) -> set[tuple[str, str]]:
    return set(zip(path, path[1:] + path[:1], strict=True)) if path else set()


def _phrases(events: Iterable[GraphEvent], path: CyclePath = ()) -> list[str]:
    """Describe dependencies, those on ``path`` first."""
    steps = _steps(path)
    ordered = sorted(
        events, key=lambda event: ((event.source, event.target) not in steps, event.source, event.target)
    )
    return [_WORDS[event.kind].format(event.source, event.target) for event in ordered]


def _within(event: GraphEvent, group: Mapping[str, int]) -> bool:
    source = group.get(event.source)
    return source is not None and source == group.get(event.target)


class GraphEventLog:
    """Collects events between ``begin`` and ``end``; a ``GraphEventObserver``."""

    def __init__(self, least_confidence: float) -> None:
        self._least_confidence = least_confidence
        self._collects = False
        self._steps: list[MoveEvents] = []
        self._count = 0
        self._moved = asyncio.Event()

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None while not collecting."""
        return self._least_confidence if self._collects else None

    def graph_moved(self, events: MoveEvents) -> None:
        """Note that the graph has moved."""
        self._moved.set()
        if self._collects and events:
            self._steps.append(events)
            self._count += _weight(events)
            self._shorten()

    def begin(self) -> None:
        """Collect from now on."""
        self._collects = True
        self._steps, self._count = [UnseenCause.TOOK_OVER], 0

    def end(self) -> None:
        """Collect no more."""
        self._collects = False
        self._steps, self._count = [], 0

    def take(self) -> list[MoveEvents]:
        """Return what was collected, and forget it."""
        taken, self._steps, self._count = self._steps, [], 0
        return taken

    def put_back(self, taken: list[MoveEvents]) -> None:
        """Put what was taken back, before what was collected since."""
        self._steps = taken + self._steps
        self._count += sum(map(_weight, taken))
        self._shorten()

    async def wait(self, within: timedelta) -> bool:
        """Wait until the graph has moved since the last wait; False = time is up."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._moved.wait()
        except TimeoutError:
            return False
        self._moved.clear()
        return True

    def _shorten(self) -> None:
        if self._count > _MOST_EVENTS:
            # Renames stay: without today's names no alert would be recognised.
            renames = [
                [event for event in step if event.kind is GraphEventKind.SERVICE_RENAMED]
                for step in self._steps
                if not isinstance(step, UnseenCause)
            ]
            self._steps = [UnseenCause.LARGE, *filter(None, renames)]
            self._count = 0


def causes_of(steps: Sequence[MoveEvents]) -> Causes:
    """Join the events of several moves, in the names after the last one. O(events)."""
    events: list[GraphEvent] = []
    renames: dict[str, str] = {}
    unseen: UnseenCause | None = None
    for step in steps:
        if isinstance(step, UnseenCause):
            unseen = step
            continue
        renamed = {
            event.source: event.target for event in step if event.kind is GraphEventKind.SERVICE_RENAMED
        }
        if renamed:
            events = [_called(renamed, event) for event in events]
            renames = _composed(renames, renamed)
        # Gains have the names after the move, all other events those before it.
        events += [
            event if event.kind in GAINS else _called(renamed, event)
            for event in step
            if event.kind is not GraphEventKind.SERVICE_RENAMED
        ]
    return Causes(events, renames, unseen)


def _weight(step: MoveEvents) -> int:
    return 0 if isinstance(step, UnseenCause) else len(step)


def _called(renamed: Mapping[str, str], event: GraphEvent) -> GraphEvent:
    source, target = event.source, event.target
    return GraphEvent(event.kind, renamed.get(source, source), renamed.get(target, target))


def _composed(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """Compose two renamings; each renames all its services at the same time."""
    both = {old: then.get(new, new) for old, new in first.items()}
    reached = set(first.values())
    # If the first renaming gave a name to a service, the second renames that service.
    both |= {old: new for old, new in then.items() if old not in reached and old not in first}
    return {old: new for old, new in both.items() if old != new}
