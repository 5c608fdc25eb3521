"""
Circular-dependency alerts: one per cycle, open, then acknowledged, then resolved.

And the history of each.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

AlertStatus = Literal["open", "acknowledged", "resolved"]
ALERT_STATUSES: tuple[AlertStatus, ...] = ("open", "acknowledged", "resolved")

AlertEventKind = Literal[
    "opened",
    "acknowledged",
    "resolved",
    "reopened",
    "grown",
    "shrunk",
    "merged",
    "split",
    "witness_changed",
    "gone",
    "found",
]
ALERT_EVENT_KINDS: tuple[AlertEventKind, ...] = (
    "opened",
    "acknowledged",
    "resolved",
    "reopened",
    "grown",
    "shrunk",
    "merged",
    "split",
    "witness_changed",
    "gone",
    "found",
)


MOST_MEMBERS = 1_000
"""
How many members of a component are kept with its alert, the first by code point.

``size`` is how many there are.
"""


class Alert(NamedTuple):
    """
    One row of ``circular_dependency_alerts``.

    ``cycle_path`` in call order, the last calls the first.

    ``size``, ``is_present`` and ``members`` are what detection saw last: the component that the
    cycle stands for, whether it is in the graph, and the first of its members by code point.
    """

    id: UUID
    cycle_path: tuple[str, ...]
    status: AlertStatus
    acknowledged_by: str | None
    resolution_notes: str | None
    detected_at: datetime
    size: int
    detected: bool
    is_present: bool
    updated_at: datetime
    members: tuple[str, ...] = ()


class AlertEvent(NamedTuple):
    """
    One thing that happened to an alert.

    ``status``, ``cycle_path`` and ``size`` are those of the alert afterwards.
    """

    id: int
    kind: AlertEventKind
    event_at: datetime
    actor: str | None
    note: str
    status: AlertStatus
    cycle_path: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """
    Which alerts a list shows; None = all.

    ``service_id`` is a member of the component, or on a cycle that has none known.
    """

    status: AlertStatus | None = None
    service_id: str | None = None


class EventKey(NamedTuple):
    """Where a history stands: the id of the last event shown."""

    id: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of one alert, oldest first, and where the next page starts (None = no more)."""

    events: tuple[AlertEvent, ...]
    next: EventKey | None
