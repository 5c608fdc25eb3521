"""AlertService: circular-dependency alerts."""

from collections.abc import Sequence

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1 import types_pb2
from depgraph.v1.alert_service_pb2_grpc import AlertServiceServicer
from server.config import Limits
from server.domain.alerts import (
    ALERT_EVENT_KINDS,
    ALERT_STATUSES,
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertFilter,
    AlertStatus,
    EventKey,
)
from server.domain.caller import current_caller
from server.domain.errors import FieldViolation, PermissionDeniedError
from server.domain.ports import AlertStore, PageKey
from server.rpc.answers import timestamp
from server.rpc.context import Context
from server.rpc.paging import EVENTS, ROWS, PageTokens, fitted_page, page_size
from server.rpc.validate import Check, shown
from server.wire.columns import EnumWords

_LONGEST_NOTES = 10_000
_LONGEST_NAME = 255
_LONGEST_CYCLE = 1_000

_STATUS: EnumWords[AlertStatus, types_pb2.AlertStatus.ValueType] = EnumWords(
    types_pb2.AlertStatus, ALERT_STATUSES
)
_EVENT_KIND: EnumWords[AlertEventKind, pb.AlertEventKind.ValueType] = EnumWords(
    pb.AlertEventKind, ALERT_EVENT_KINDS
)


class AlertServicer(AlertServiceServicer):
    """Answers from the store. The wrapper around the handlers maps errors to gRPC statuses."""

    def __init__(self, store: AlertStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def CreateAlert(self, request: pb.CreateAlertRequest, context: Context) -> pb.CreateAlertResponse:
        """Open an alert."""
        written = await self._store.create(_cycle_of(request.cycle_path))
        return pb.CreateAlertResponse(alert=alert_message(written.value), revision=written.revision)

    async def GetAlert(self, request: pb.GetAlertRequest, context: Context) -> pb.GetAlertResponse:
        """Look an alert up."""
        check = Check()
        key = check.uuid("id", request.id)
        check.done()
        return pb.GetAlertResponse(alert=alert_message(await self._store.get(key)))

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        """List alerts, latest detected first."""
        check = Check()
        chosen = AlertFilter(
            status=check.optional_word("status", request.status, _STATUS),
            service_id=check.text("service_id", request.service_id) if request.service_id else None,
        )
        tokens = PageTokens("alerts", chosen, ROWS)
        size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
        check.done()
        page = await self._store.page(chosen, size, after)
        alerts, following = fitted_page(
            page.rows,
            page.next,
            alert_message,
            lambda row: PageKey(row.detected_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListAlertsResponse(alerts=alerts, next_page_token=tokens.write(following))

    async def ListAlertEvents(
        self, request: pb.ListAlertEventsRequest, context: Context
    ) -> pb.ListAlertEventsResponse:
        """List what happened to an alert, oldest first."""
        check = Check()
        key = check.uuid("id", request.id)
        tokens = PageTokens("alert events", key, EVENTS)
        size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
        check.done()
        page = await self._store.events(key, size, after)
        events, following = fitted_page(
            page.events,
            page.next,
            event_message,
            lambda row: EventKey(row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListAlertEventsResponse(events=events, next_page_token=tokens.write(following))

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Record who looks after an alert: the caller, unless it may name another."""
        check = Check()
        key = check.uuid("id", request.id)
        caller = current_caller()
        name = check.words("acknowledged_by", request.acknowledged_by or caller.principal, _LONGEST_NAME)
        check.done()
        if name != caller.principal and not caller.is_admin:
            raise _in_anothers_name(name, caller.principal)
        written = await self._store.acknowledge(key, name)
        return pb.AcknowledgeAlertResponse(alert=alert_message(written.value), revision=written.revision)

    async def ResolveAlert(
        self, request: pb.ResolveAlertRequest, context: Context
    ) -> pb.ResolveAlertResponse:
        """Close an alert."""
        check = Check()
        key = check.uuid("id", request.id)
        notes = check.words("resolution_notes", request.resolution_notes, _LONGEST_NOTES)
        check.done()
        written = await self._store.resolve(key, notes)
        return pb.ResolveAlertResponse(alert=alert_message(written.value), revision=written.revision)

    async def CheckCycle(self, request: pb.CheckCycleRequest, context: Context) -> pb.CheckCycleResponse:
        """Report whether a cycle has an alert."""
        found = await self._store.find(_cycle_of(request.cycle_path))
        return pb.CheckCycleResponse(
            exists=found is not None, alert=None if found is None else alert_message(found)
        )


def _cycle_of(path: Sequence[str]) -> Sequence[str]:
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


def _in_anothers_name(name: str, own: str) -> PermissionDeniedError:
    description = f"{shown(name)} is another's name; leave it out, or give your own, {shown(own)}"
    return PermissionDeniedError(
        f"acknowledged_by: {description}",
        violations=[FieldViolation("acknowledged_by", description)],
        role="admin",
    )


def alert_message(row: Alert) -> types_pb2.CircularDependencyAlert:
    """Write an alert."""
    return types_pb2.CircularDependencyAlert(
        id=str(row.id),
        cycle_path=row.cycle_path,
        status=_STATUS.number[row.status],
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
        status=_STATUS.number[row.status],
        cycle_path=row.cycle_path,
        size=row.size,
    )
