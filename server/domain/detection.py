"""Alerts as detection keeps them, where they are stored, and the events that explain them."""

import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias
from uuid import UUID

from server.domain.alerts import AlertStatus

CyclePath: TypeAlias = tuple[str, ...]
Members: TypeAlias = tuple[str, ...]
EventKind: TypeAlias = Literal[
    "opened", "resolved", "reopened", "grown", "shrunk", "merged", "split", "witness_changed", "gone", "found"
]
"""What detection writes; people acknowledge."""


class Membership(NamedTuple):
    """How many members a component has, and their names, or the first of too many."""

    size: int
    names: Members


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAlert:
    """
    An alert with what detection keeps of it.

    ``members`` are the sorted names of the component's services when it was last seen, without the
    last ``unlisted`` ones. ``is_present``: the component was there then. ``detected`` False = a
    person created the alert, and detection has not found its cycle. ``detected_at`` None = not
    written yet.
    """

    id: UUID
    cycle_path: CyclePath
    status: AlertStatus
    acknowledged_by: str | None = None
    resolution_notes: str | None = None
    detected_at: datetime | None = None
    size: int = 0
    detected: bool = True
    is_present: bool = True
    members: Members = ()
    unlisted: int = 0

    @property
    def membership(self) -> Membership:
        """The size of the component and its listed members."""
        return Membership(len(self.members) + self.unlisted, self.members)

    @property
    def is_live(self) -> bool:
        """Whether it is not resolved."""
        return self.status != "resolved"


def smallest_first(path: CyclePath) -> CyclePath:
    """Rotate a cycle so that its smallest name comes first."""
    start = path.index(min(path))
    return path[start:] + path[:start]


class EventDraft(NamedTuple):
    """An event to write with the state of its alert afterwards."""

    kind: EventKind
    note: str


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What to write of one alert; ``before`` None = it is new."""

    before: KeptAlert | None
    after: KeptAlert
    events: tuple[EventDraft, ...]


class LedgerConflictError(Exception):
    """Another program wrote at the same time, so the round must begin again."""


class AlertLedger(Protocol):
    """Stored alerts, on the connection that holds the lock of detection."""

    async def tracked(self) -> list[KeptAlert]:
        """
        Read the alerts to track: those whose component is there, and those that are not resolved.

        Alerts that people created count only once detection has found their cycle.
        """

    def round(self) -> AbstractAsyncContextManager[None]:
        """
        Open a transaction for ``lock``, ``candidates`` and ``write``, committed at the end.

        An error that leaves the context rolls back; a collision is a ``LedgerConflictError``.
        Alerts that were returned don't change until the end.
        """

    async def lock(self, alerts: Sequence[KeptAlert]) -> list[KeptAlert]:
        """Return those that still exist, as they are now, but with the given members."""

    async def candidates(
        self, cycles: Sequence[CyclePath], memberships: Sequence[Membership]
    ) -> list[KeptAlert]:
        """
        Return alerts of these cycles, and alerts that detection resolved with these members.

        Of several with the same cycle or members, the one that was written last counts.
        """

    async def write(self, changes: Sequence[AlertChange]) -> None:
        """Write; ``LedgerConflictError`` when one of the cycles got an alert meanwhile."""

    async def trim(self) -> bool:
        """Remove some surplus members of former versions; returns whether more may remain."""

    async def note_caught_up(self) -> None:
        """Note for waiting processes that the alerts match; raises if the connection is dead."""


class DetectionRole(enum.Enum):
    """What this process does for the alerts."""

    WRITER = "writer"
    STANDBY = "standby"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class DetectionStatus:
    """
    How the alerts follow the graph. Only the writer knows more than ``role``.

    ``revision`` is the last that the alerts match, ``written_at`` when they were last written (None
    = never), ``cycle_count`` the number of cyclic components in that revision.
    """

    role: DetectionRole = DetectionRole.OFF
    revision: str = ""
    written_at: datetime | None = None
    cycle_count: int = 0


class GraphEventKind(enum.Enum):
    """
    How a dependency began or ceased to count for cycles, or what became of a service.

    A dependency counts if it is fresh and confident enough.
    """

    ADDED = "added"
    REVIVED = "revived"
    TRUSTED = "trusted"
    REMOVED = "removed"
    STALE = "stale"
    DOUBTED = "doubted"
    SERVICE_REMOVED = "service removed"
    SERVICE_RENAMED = "service renamed"


GAINS = frozenset({GraphEventKind.ADDED, GraphEventKind.REVIVED, GraphEventKind.TRUSTED})
"""The dependency counts now and did not before."""
LOSSES = frozenset({GraphEventKind.REMOVED, GraphEventKind.STALE, GraphEventKind.DOUBTED})
"""The dependency counted before and does not now."""


class GraphEvent(NamedTuple):
    """
    One event, in names of services: the ends of a dependency before a loss or after a gain.

    A removed service is the ``source``. A renamed one was called ``source`` and is called
    ``target``.
    """

    kind: GraphEventKind
    source: str
    target: str = ""


class UnseenCause(enum.Enum):
    """Why the single events are unknown."""

    TOOK_OVER = "took over"
    RELOADED = "reloaded"
    LARGE = "large"
    COMPARED = "compared"


class GraphEventObserver(Protocol):
    """Is called on the event loop whenever the graph has moved; must be quick."""

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None = events are not needed."""

    def graph_moved(self, events: Sequence[GraphEvent] | UnseenCause) -> None:
        """Note that the graph has moved; without events while they are not needed."""
