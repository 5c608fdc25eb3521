"""Alerts as detection keeps them, and what it asks of those who hold them."""

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
    """How many members a component has, and their names, or the first of them if they are too many."""

    size: int
    names: Members


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAlert:
    """
    An alert with what detection keeps of it.

    ``members`` are the names of the component's services when it was last seen, sorted: all but the ``unlisted``, whose names come after these.
    ``is_present``: the component was there then.
    ``detected`` False = somebody created the alert, and detection has not met its cycle. ``detected_at`` None = not written yet.
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
        """Tell who was in the component, as far as that is kept."""
        return Membership(len(self.members) + self.unlisted, self.members)

    @property
    def is_live(self) -> bool:
        """Whether somebody should look after it."""
        return self.status != "resolved"


def smallest_first(path: CyclePath) -> CyclePath:
    """Write a cycle from its smallest name on."""
    start = path.index(min(path))
    return path[start:] + path[:start]


class EventDraft(NamedTuple):
    """Something that happened to an alert, to be written beside how the alert is afterwards."""

    kind: EventKind
    note: str


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What is to be written of one alert; ``before`` None = it is new."""

    before: KeptAlert | None
    after: KeptAlert
    events: tuple[EventDraft, ...]


class LedgerConflictError(Exception):
    """Somebody wrote at the same time: the round has to begin anew."""


class LedgerRound(Protocol):
    """One transaction of the ledger; what it returned stays as it is until the end."""

    async def lock(self, alerts: Sequence[KeptAlert]) -> list[KeptAlert]:
        """Return those that still exist, as they are now, but with the members that they come with."""

    async def candidates(
        self, cycles: Sequence[CyclePath], memberships: Sequence[Membership]
    ) -> list[KeptAlert]:
        """
        Return the alerts of these cycles, in whatever status, and alerts that were resolved without anybody's doing and had just this membership.

        Of several with the same one the one that was written last.
        """

    async def write(self, changes: Sequence[AlertChange]) -> None:
        """Write; raises ``LedgerConflictError`` when one of the cycles got an alert at the same time."""


class AlertLedger(Protocol):
    """Alerts in the system of record, on the connection that holds the lock of detection."""

    async def tracked(self) -> list[KeptAlert]:
        """Read all alerts that stand for components which are there, or that somebody should still look after; created ones only once found."""

    def round(self) -> AbstractAsyncContextManager[LedgerRound]:
        """Begin a transaction, committed at the end unless an error leaves the context."""

    async def trim(self) -> bool:
        """Take away some of the members that are more than are kept, as former versions wrote them; returns whether there may be others."""

    async def note_caught_up(self) -> None:
        """Say that the alerts are level with the graph, for processes that only wait; has the connection answer, or fail."""


class DetectionRole(enum.Enum):
    """What this process does for the alerts."""

    WRITER = "writer"
    STANDBY = "standby"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class DetectionStatus:
    """
    How the alerts follow the graph.

    Of the writer only: ``revision`` up to which they are level, ``written_at`` when they were last written (None = never), ``cycle_count`` of
    cyclic components as of that revision.
    """

    role: DetectionRole = DetectionRole.OFF
    revision: str = ""
    written_at: datetime | None = None
    cycle_count: int = 0
