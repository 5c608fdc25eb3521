"""Circular-dependency alerts, one per cycle, and their histories."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args
from uuid import UUID

AlertStatus = Literal["open", "acknowledged", "resolved"]
ALERT_STATUSES: tuple[AlertStatus, ...] = get_args(AlertStatus)

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
ALERT_EVENT_KINDS: tuple[AlertEventKind, ...] = get_args(AlertEventKind)

MOST_MEMBERS = 1_000
"""How many members of a component are kept with its alert, the first by code point."""


class Alert(NamedTuple):
    """
    One row of ``circular_dependency_alerts``.

    ``cycle_path`` is in call order; the last service calls the first. ``size``, ``is_present`` and
    ``members`` (the first by code point) describe the component as detection saw it last.
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
    """Something that happened to an alert, with the alert's state afterwards."""

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
    """Which alerts a list shows; None = all. ``service_id`` is a member of the component."""

    status: AlertStatus | None = None
    service_id: str | None = None


class EventKey(NamedTuple):
    """Position in a history: the id of the last event shown."""

    id: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events of one alert, oldest first, and where the next page starts (None = no more)."""

    events: tuple[AlertEvent, ...]
    next: EventKey | None
