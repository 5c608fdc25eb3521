"""Cycles of requests, and stored alerts as messages."""

from collections.abc import Sequence

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1 import types_pb2
from server.domain.alerts import (
    ALERT_EVENT_KINDS,
    ALERT_STATUSES,
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
)
from server.rpc.answers import timestamp
from server.rpc.validate import Check
from server.wire.words import EnumWords

_LONGEST_CYCLE = 1_000

STATUS: EnumWords[AlertStatus, types_pb2.AlertStatus.ValueType] = EnumWords(
    types_pb2.AlertStatus, "ALERT_STATUS", ALERT_STATUSES
)
_EVENT_KIND: EnumWords[AlertEventKind, pb.AlertEventKind.ValueType] = EnumWords(
    pb.AlertEventKind, "ALERT_EVENT_KIND", ALERT_EVENT_KINDS
)


def cycle_of(path: Sequence[str]) -> Sequence[str]:
    """Read a cycle, 2 to 1,000 distinct names in call order; raises ``InvalidInputError``."""
    check = Check()
    check.at_most("cycle_path", path, _LONGEST_CYCLE, "make a cycle")
    if len(path) < 2:  # noqa: PLR2004 - a cycle has two members at least
        check.add("cycle_path", "names fewer than 2 services; it takes two to make a cycle")
    for position, name in enumerate(path):
        check.text(f"cycle_path[{position}]", name)
    check.distinct("cycle_path[{}]", path, "this service")
    check.done()
    return tuple(path)


def alert_message(row: Alert) -> types_pb2.CircularDependencyAlert:
    """Write an alert."""
    return types_pb2.CircularDependencyAlert(
        id=str(row.id),
        cycle_path=row.cycle_path,
        status=STATUS.number[row.status],
        acknowledged_by=row.acknowledged_by,
        resolution_notes=row.resolution_notes,
        detect_time=timestamp(row.detected_at),
        members=row.members,
        size=row.size,
        detected=row.detected,
        is_present=row.is_present,
        update_time=timestamp(row.updated_at),
    )


def event_message(row: AlertEvent) -> pb.AlertEvent:
    """Write an event of an alert."""
    return pb.AlertEvent(
        kind=_EVENT_KIND.number[row.kind],
        event_time=timestamp(row.event_at),
        actor=row.actor,
        note=row.note,
        status=STATUS.number[row.status],
        cycle_path=row.cycle_path,
        size=row.size,
    )
