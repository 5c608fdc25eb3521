"""Alerts as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depgraph.v1.alert_service_pb2 import AlertEventKind
from depgraph.v1.types_pb2 import ALERT_STATUS_ACKNOWLEDGED, AlertStatus
from server.cli.render.columns import aligned
from server.cli.render.text import counted, printable, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from depgraph.v1.alert_service_pb2 import AlertEvent
    from depgraph.v1.types_pb2 import CircularDependencyAlert

SHORTEST_ID = 8
MOST_NAMES = 6
SHOWN_NAMES = 4


def table(alerts: Sequence[CircularDependencyAlert]) -> list[str]:
    """One line an alert under a line of headings; ids as short as they can be told apart, the cycle last because it is longest."""
    length = _telling_length([alert.id for alert in alerts])
    rows = [("ID", "STATUS", "SIZE", "SINCE (UTC)", "WHO", "CYCLE")]
    rows += [
        (
            alert.id[:length],
            _status(alert),
            f"{alert.size:,}" if alert.size else "-",
            _minute(alert.detect_time),
            printable(alert.acknowledged_by) or "-",
            cycle(alert.cycle_path),
        )
        for alert in alerts
    ]
    return aligned(rows)


def account(alert: CircularDependencyAlert, events: Sequence[AlertEvent]) -> list[str]:
    """Everything about one alert: what it is, its members, its history."""
    rows = [
        ("id", alert.id),
        ("status", _status(alert)),
        *([("acknowledged", f"by {printable(alert.acknowledged_by)}")] if alert.acknowledged_by else ()),
        *([("notes", printable(alert.resolution_notes))] if alert.resolution_notes else ()),
        ("cycle", _circle(alert.cycle_path)),
        ("in the graph", _presence(alert)),
        *([("members", _members(alert))] if alert.members else ()),
        ("since", f"{_second(alert.detect_time)} UTC"),
        ("changed", f"{_second(alert.update_time)} UTC"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:{width}}  {value}" for name, value in rows]
    return [*lines, "history", *(_happened(event) for event in events)]


def headline(alert: CircularDependencyAlert) -> str:
    """Say in one line what has become of an alert."""
    who = f" by {printable(alert.acknowledged_by)}" if alert.status == ALERT_STATUS_ACKNOWLEDGED else ""
    return f"{_status(alert)}{who}: {alert.id[:SHORTEST_ID]} {cycle(alert.cycle_path)}"


def cycle(path: Sequence[str]) -> str:
    """Write a cycle in call order, back to its first service; the middle of a long one is left out: ``a → b → … → a (350 services)``."""
    if len(path) <= MOST_NAMES:
        return _circle(path)
    shown = [visible(name) for name in path[:SHOWN_NAMES]]
    return " → ".join([*shown, "…", shown[0]]) + f" ({counted(len(path), 'service')})"


def _circle(path: Sequence[str]) -> str:
    return " → ".join(visible(name) for name in [*path, *path[:1]])


def _status(alert: CircularDependencyAlert) -> str:
    return AlertStatus.Name(alert.status).removeprefix("ALERT_STATUS_").lower()


def _presence(alert: CircularDependencyAlert) -> str:
    if not alert.size:
        return "not seen there; somebody created this alert"
    size = counted(alert.size, "service")
    return f"a component of {size}" if alert.is_present else f"no longer; it was a component of {size}"


def _members(alert: CircularDependencyAlert) -> str:
    rest = alert.size - len(alert.members)
    names = ", ".join(visible(name) for name in alert.members)
    return names + (f", and {rest:,} more" if rest > 0 else "")


def _happened(event: AlertEvent) -> str:
    kind = AlertEventKind.Name(event.kind).removeprefix("ALERT_EVENT_KIND_").lower().replace("_", " ")
    who = f" by {printable(event.actor)}" if event.HasField("actor") else ""
    size = f" ({counted(event.size, 'service')})" if event.size else ""
    note = f": {printable(event.note)}" if event.note else ""
    return f"  {_second(event.event_time)}  {kind}{who}{size}{note}"


def _telling_length(ids: Sequence[str]) -> int:
    """Find how much of the ids tells them apart, at least eight characters. O(ids x length)."""
    length = SHORTEST_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return length


def _minute(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M}"


def _second(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S}"
