"""The gRPC server: the services of the contract, health and reflection, at one address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import starmap
from typing import Any, cast

from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from depgraph.v1 import (
    alert_service_pb2,
    alert_service_pb2_grpc,
    analysis_service_pb2,
    analysis_service_pb2_grpc,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    dependency_service_pb2,
    dependency_service_pb2_grpc,
    graph_service_pb2,
    graph_service_pb2_grpc,
)
from server.concurrency.component_search import SharedComponentSearch
from server.config import Limits, TransportName
from server.domain.detection import DetectionStatus
from server.domain.health import FeedHealth
from server.domain.ports import AlertStore, DependencyStore, ServiceStore
from server.domain.workers import Peers
from server.rpc.admission import Admission
from server.rpc.alert.servicer import AlertServicer
from server.rpc.analysis.servicer import AnalysisServicer
from server.rpc.answering import Answering
from server.rpc.call_log import CallLog
from server.rpc.catalog.servicer import CatalogServicer
from server.rpc.dependency.servicer import DependencyServicer
from server.rpc.graph.servicer import GraphServicer
from server.rpc.health import HealthServicer
from server.rpc.listening import bind
from server.rpc.ports import CallObserver, LiveGraph, Load, WatchedGraph
from server.rpc.registrar import Registrar
from server.rpc.running import RunningCalls
from server.rpc.transport import make_transport

CONTRACT = tuple(
    descriptor.services_by_name[name].full_name
    for descriptor, name in (
        (alert_service_pb2.DESCRIPTOR, "AlertService"),
        (analysis_service_pb2.DESCRIPTOR, "AnalysisService"),
        (catalog_service_pb2.DESCRIPTOR, "CatalogService"),
        (dependency_service_pb2.DESCRIPTOR, "DependencyService"),
        (graph_service_pb2.DESCRIPTOR, "GraphService"),
    )
)
# Services that answer from memory.
_FROM_MEMORY = tuple(
    descriptor.services_by_name[name].full_name
    for descriptor, name in (
        (analysis_service_pb2.DESCRIPTOR, "AnalysisService"),
        (graph_service_pb2.DESCRIPTOR, "GraphService"),
    )
)
# The time that what is said already gets to leave the process.
_FLUSH = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servicers:
    """What the services answer from, and what ``GetStatus`` says of the process."""

    services: ServiceStore
    dependencies: DependencyStore
    alerts: AlertStore
    live: LiveGraph
    watched: WatchedGraph
    started_at: datetime
    version: str
    health: Callable[[], FeedHealth] = FeedHealth
    peers: Peers = field(default_factory=Peers)
    component_search: SharedComponentSearch = field(default_factory=SharedComponentSearch)
    detection: Callable[[], DetectionStatus] = DetectionStatus


class RpcServer:
    """
    One server over one transport; make it where the event loop runs.

    Listens from ``start`` on with health NOT_SERVING, until ``set_serving(serving=True)``; health is told for the server as a whole
    (empty name) and for each service. GraphService and AnalysisService are SERVING only while their answers can be trusted. ``observer`` hears of calls.
    ``reserved`` = it shares ``listen`` with others, for whom somebody keeps it (``listening.reserve``).
    """

    def __init__(
        self,
        listen: str,
        servicers: Servicers,
        limits: Limits,
        observer: CallObserver | None = None,
        *,
        transport: TransportName = "auto",
        reserved: bool = False,
    ) -> None:
        self._listen = listen
        self._reserved = reserved
        self._calls = RunningCalls()
        self._call_log = CallLog()
        self._health = HealthServicer()
        self._transport = make_transport(transport, listen, limits, share_port=reserved)
        self._address = ""
        self._serving = False
        self._trusted = True
        admission = Admission(limits, self._transport.all_came)
        self._answering = Answering(self._calls, limits, admission, observer, self._call_log)
        registrar = Registrar()
        self._register(servicers, limits, registrar)
        self._transport.serve(
            list(starmap(self._answering.method, registrar.handlers.items())), self._answering
        )

    @property
    def address(self) -> str:
        """Where clients find it, once started: ``HOST:PORT`` with the real port, or ``unix:PATH``."""
        return self._address

    @property
    def running_calls(self) -> int:
        """Calls of the contract that are being answered now."""
        return len(self._calls)

    @property
    def load(self) -> Load:
        """What callers take of this process now."""
        return self._answering.load

    @property
    def transport(self) -> TransportName:
        """What calls come by: "grpcio" or "native"."""
        return self._transport.name

    async def start(self) -> None:
        """Listen, not serving yet; raises ``ListenError``, most often ``AddressInUseError``."""
        self.set_serving(serving=False)
        self._address = bind(self._transport.listen, self._listen, reserved=self._reserved)
        await self._transport.start()

    def set_serving(self, *, serving: bool) -> None:
        """Tell through health whether calls will be answered; ignored once stopping."""
        self._serving = serving
        self._tell_health()

    def set_trusted(self, *, trusted: bool) -> None:
        """Tell through the health of those that answer from memory whether memory follows the tables; the server as a whole goes on."""
        self._trusted = trusted
        self._tell_health()

    def _tell_health(self) -> None:
        for name in (health.OVERALL_HEALTH, *CONTRACT):
            self._health.set(name, serving=self._serving and (self._trusted or name not in _FROM_MEMORY))

    async def stop(self, grace: timedelta) -> None:
        """
        Say NOT_SERVING, let no new calls in, wait up to ``grace`` for those that run, cancel the rest.

        Streams that watch health or use reflection are ended without waiting. Safe to call twice.
        """
        self._health.end()
        self._calls.begin_drain()
        finished = await self._calls.drained(grace)
        await self._calls.end_streams(_FLUSH / 2)
        await self._transport.stop(_FLUSH / 2 if finished else None)
        self._call_log.close()

    def _register(self, servicers: Servicers, limits: Limits, server: Any) -> None:
        catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(
            CatalogServicer(servicers.services, limits), server
        )
        dependency_service_pb2_grpc.add_DependencyServiceServicer_to_server(
            DependencyServicer(servicers.dependencies, limits), server
        )
        graph = GraphServicer(
            servicers.live,
            servicers.watched,
            limits,
            started_at=servicers.started_at,
            version=servicers.version,
            transport=self._transport.name,
            health=servicers.health,
            peers=servicers.peers,
            component_search=servicers.component_search,
            detection=servicers.detection,
        )
        # It answers with bytes that are messages already (Answering lets them through), which generated types don't know of.
        graph_service_pb2_grpc.add_GraphServiceServicer_to_server(
            cast("graph_service_pb2_grpc.GraphServiceServicer", graph), server
        )
        alert_service_pb2_grpc.add_AlertServiceServicer_to_server(
            AlertServicer(servicers.alerts, limits), server
        )
        analysis_service_pb2_grpc.add_AnalysisServiceServicer_to_server(
            AnalysisServicer(servicers.live, limits), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*CONTRACT, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
