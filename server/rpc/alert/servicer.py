"""AlertService: circular-dependency alerts."""

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.alert_service_pb2_grpc import AlertServiceServicer
from server.config import Limits
from server.domain.alerts import AlertFilter, EventKey
from server.domain.paging import PageKey
from server.domain.ports import AlertStore
from server.rpc.alert.messages import STATUS, alert_message, cycle_of, event_message
from server.rpc.context import Context
from server.rpc.paging import PageTokens, fitted_page, page_size
from server.rpc.validate import Check

_LONGEST_NOTES = 10_000
_LONGEST_NAME = 255


class AlertServicer(AlertServiceServicer):
    """Answers from the store. The wrapper around the handlers maps errors to gRPC statuses."""

    def __init__(self, store: AlertStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def CreateAlert(self, request: pb.CreateAlertRequest, context: Context) -> pb.CreateAlertResponse:
        """Open an alert."""
        written = await self._store.create(cycle_of(request.cycle_path))
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
            status=check.optional_word("status", request.status, STATUS),
            service_id=check.text("service_id", request.service_id) if request.service_id else None,
        )
        tokens = PageTokens("alerts", chosen)
        size, after = page_size(check, request.page_size), tokens.row(check, request.page_token)
        check.done()
        page = await self._store.page(chosen, size, after)
        alerts, following = fitted_page(
            page.rows,
            page.next,
            alert_message,
            lambda row: PageKey(row.detected_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListAlertsResponse(alerts=alerts, next_page_token=tokens.of_row(following))

    async def ListAlertEvents(
        self, request: pb.ListAlertEventsRequest, context: Context
    ) -> pb.ListAlertEventsResponse:
        """List what happened to an alert, oldest first."""
        check = Check()
        key = check.uuid("id", request.id)
        tokens = PageTokens("alert events", key)
        size, after = page_size(check, request.page_size), tokens.event(check, request.page_token)
        check.done()
        page = await self._store.events(key, size, after)
        events, following = fitted_page(
            page.events,
            page.next,
            event_message,
            lambda row: EventKey(row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListAlertEventsResponse(events=events, next_page_token=tokens.of_event(following))

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Record who looks after an alert."""
        check = Check()
        key = check.uuid("id", request.id)
        name = check.words("acknowledged_by", request.acknowledged_by, _LONGEST_NAME)
        check.done()
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
        found = await self._store.find(cycle_of(request.cycle_path))
        return pb.CheckCycleResponse(
            exists=found is not None, alert=None if found is None else alert_message(found)
        )
