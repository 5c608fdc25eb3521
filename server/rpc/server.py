"""The gRPC server: the services of the contract, health and reflection."""

import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import starmap
from typing import TYPE_CHECKING, Any, cast

from grpc_health.v1 import health, health_pb2_grpc

from depgraph.v1.access_service_pb2_grpc import add_AccessServiceServicer_to_server
from depgraph.v1.alert_service_pb2_grpc import add_AlertServiceServicer_to_server
from depgraph.v1.analysis_service_pb2_grpc import add_AnalysisServiceServicer_to_server
from depgraph.v1.catalog_service_pb2_grpc import add_CatalogServiceServicer_to_server
from depgraph.v1.dependency_service_pb2_grpc import add_DependencyServiceServicer_to_server
from depgraph.v1.graph_service_pb2_grpc import add_GraphServiceServicer_to_server
from depgraph.v1.history_service_pb2_grpc import add_HistoryServiceServicer_to_server
from server.concurrency import SharedComponentSearch
from server.config import Addresses, Limits, TransportName
from server.domain.live_graph import LiveGraph
from server.domain.ports import AlertStore, AliasStore, DependencyStore, ServiceStore, WriteStore
from server.rpc.access import AccessServicer
from server.rpc.admission import Admission, Load
from server.rpc.alert import AlertServicer
from server.rpc.analysis.servicer import AnalysisServicer
from server.rpc.answering import Access, Answering
from server.rpc.call_counts import CallCounts
from server.rpc.call_log import CallLog
from server.rpc.catalog import CatalogServicer
from server.rpc.dependency.servicer import DependencyServicer
from server.rpc.graph.servicer import GraphServicer
from server.rpc.graph.status import ServerStatus
from server.rpc.graph.watch import WatchedGraph
from server.rpc.history.pasts import History
from server.rpc.history.servicer import HistoryServicer
from server.rpc.listeners import HttpTransport, Listeners
from server.rpc.methods import EXPORT, Registrar
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.otlp.servicer import MetricsServicer
from server.rpc.running import RunningCalls
from server.rpc.standard import HealthServicer, register_reflection

if TYPE_CHECKING:
    from server.access.certificates import TlsFiles
    from server.rpc.tracing import CallTracer

_FROM_MEMORY = ("depgraph.v1.AnalysisService", "depgraph.v1.GraphService")
CONTRACT = (
    *_FROM_MEMORY,
    "depgraph.v1.AccessService",
    "depgraph.v1.AlertService",
    "depgraph.v1.CatalogService",
    "depgraph.v1.DependencyService",
    "depgraph.v1.HistoryService",
    EXPORT.removeprefix("/").partition("/")[0],
)
# The time in which answers may leave the process when it stops.
_FLUSH = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servicers:
    """What the services answer from; the server sets ``status.transport``."""

    services: ServiceStore
    aliases: AliasStore
    dependencies: DependencyStore
    alerts: AlertStore
    writes: WriteStore
    live: LiveGraph
    watched: WatchedGraph
    history: History
    otlp: OtlpReceiver
    status: ServerStatus
    component_search: SharedComponentSearch = field(default_factory=SharedComponentSearch)


class RpcServer:
    """
    One server at one or several addresses; make it where the event loop runs.

    From ``start`` on it listens with health NOT_SERVING, until ``set_serving(serving=True)``.
    Health covers the server as a whole (empty name) and each service; GraphService and
    AnalysisService are SERVING only while memory is trusted. ``access`` decides who may call what;
    None = all callers may call everything. ``tls`` is needed for an address with TLS, ``http`` for
    one of HTTP. ``tracer`` makes the spans of calls. ``reserved`` = the server shares its addresses
    with others, for which ``listening.reserve`` holds them.
    """

    def __init__(
        self,
        listen: Addresses,
        servicers: Servicers,
        limits: Limits,
        *,
        transport: TransportName = "auto",
        tls: "TlsFiles | None" = None,
        http: HttpTransport | None = None,
        reserved: bool = False,
        access: Access | None = None,
        reflection: bool = True,
        tracer: "CallTracer | None" = None,
    ) -> None:
        self._calls = RunningCalls()
        self._call_log = CallLog()
        self._health = HealthServicer()
        self._transport = Listeners(
            listen, limits, transport=transport, tls=tls, http=http, reserved=reserved
        )
        self.addresses = Addresses()
        """Where it listens, once started: with the actual ports."""
        self._serving = False
        self._trusted = True
        admission = Admission(limits, self._transport.admit_backlog)
        self._answering = Answering(
            self._calls, limits, admission, self._call_log, access=access, tracer=tracer
        )
        registrar = Registrar()
        self._register(servicers, limits, registrar)
        if reflection:
            register_reflection((*CONTRACT, health.SERVICE_NAME), registrar)
        self._transport.serve(
            list(starmap(self._answering.method, registrar.handlers.items())), self._answering
        )

    @property
    def address(self) -> str:
        """Where it answers calls in plaintext."""
        return self.addresses.plain

    @property
    def is_serving(self) -> bool:
        """The health of the server as a whole; may be read on any thread."""
        return self._health.is_serving(health.OVERALL_HEALTH)

    @property
    def running_calls(self) -> int:
        """Calls of the contract in progress."""
        return len(self._calls)

    @property
    def load(self) -> Load:
        """The load that callers put on this process now."""
        return self._answering.load

    @property
    def counts(self) -> CallCounts:
        """The calls until now."""
        return self._answering.counts

    @property
    def transport(self) -> TransportName:
        """The transport of calls in plaintext, if there are any: "grpcio" or "native"."""
        return self._transport.name

    async def start(self) -> None:
        """Listen, not serving yet; raises ``ListenError``, for example ``AddressInUseError``."""
        self.set_serving(serving=False)
        self.addresses = await self._transport.start()

    def set_serving(self, *, serving: bool) -> None:
        """Report through health whether calls are answered; ignored once stopping."""
        self._serving = serving
        self._report_health()

    def set_trusted(self, *, trusted: bool) -> None:
        """Report through the health of the services that use memory whether it is right."""
        self._trusted = trusted
        self._report_health()

    def _report_health(self) -> None:
        for name in (health.OVERALL_HEALTH, *CONTRACT):
            self._health.set(name, serving=self._serving and (self._trusted or name not in _FROM_MEMORY))

    async def end_refused_streams(self) -> None:
        """End the streams whose callers' credentials have expired, or were revoked."""
        await self._calls.end_refused()

    async def stop(self, grace: timedelta) -> None:
        """Report NOT_SERVING, refuse new calls, wait ``grace`` for running ones, then cancel."""
        self._health.end()
        self._calls.begin_drain()
        ends = time.monotonic() + grace.total_seconds()
        finished = await self._calls.drained(grace)
        await self._transport.finish(timedelta(seconds=max(0.0, ends - time.monotonic())))
        await self._calls.end_streams(_FLUSH / 2)
        await self._transport.stop(_FLUSH / 2 if finished else None)
        self._call_log.close()

    def _register(self, servicers: Servicers, limits: Limits, server: Any) -> None:
        status = replace(servicers.status, transport=self._transport.name)
        graph = GraphServicer(servicers.live, servicers.watched, limits, servicers.component_search, status)
        # They answer with the bytes of messages, which the generated types don't allow.
        add_GraphServiceServicer_to_server(cast("Any", graph), server)
        analysis = AnalysisServicer(servicers.live, limits)
        add_AnalysisServiceServicer_to_server(cast("Any", analysis), server)
        history = HistoryServicer(servicers.live, servicers.history, analysis.analyses, limits)
        add_HistoryServiceServicer_to_server(cast("Any", history), server)
        add_AccessServiceServicer_to_server(AccessServicer(servicers.writes, limits), server)
        add_AlertServiceServicer_to_server(AlertServicer(servicers.alerts, limits), server)
        catalog = CatalogServicer(servicers.services, servicers.aliases, servicers.live, limits)
        add_CatalogServiceServicer_to_server(catalog, server)
        dependencies = DependencyServicer(servicers.dependencies, servicers.aliases, limits)
        add_DependencyServiceServicer_to_server(dependencies, server)
        MetricsServicer(servicers.otlp).register(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
