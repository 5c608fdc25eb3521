"""The gRPC server: the services of the contract, health and reflection, at one address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import grpc
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
from server.component_search import ComponentSearch
from server.config import Limits
from server.domain.detection import DetectionStatus
from server.domain.health import FeedHealth
from server.domain.ports import AlertStore, DependencyStore, ServiceStore
from server.domain.workers import Peers
from server.rpc.alert_servicer import AlertServicer
from server.rpc.analysis_servicer import AnalysisServicer
from server.rpc.call_log import CallLog
from server.rpc.catalog_servicer import CatalogServicer
from server.rpc.dependency_servicer import DependencyServicer
from server.rpc.graph_servicer import GraphServicer
from server.rpc.health_servicer import HealthServicer
from server.rpc.interceptors import CallRegistrar
from server.rpc.listening import bind
from server.rpc.ports import CallObserver, LiveGraph, Load, WatchedGraph
from server.rpc.running import RunningCalls

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
_SECOND_MS = 1000
_NO_LIMIT = 2**31 - 1
_CLEARED_AWAY = 10


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
    component_search: ComponentSearch = field(default_factory=ComponentSearch)
    detection: Callable[[], DetectionStatus] = DetectionStatus


class RpcServer:
    """
    One ``grpc.aio`` server; make it where the event loop runs.

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
        reserved: bool = False,
    ) -> None:
        self._listen = listen
        self._reserved = reserved
        self._calls = RunningCalls()
        self._call_log = CallLog()
        self._health = HealthServicer()
        self._server = grpc.aio.server(options=server_options(limits, share_port=reserved))
        self._address = ""
        self._serving = False
        self._trusted = True
        self._registrar = CallRegistrar(self._server, self._calls, limits, observer, self._call_log)
        self._register(servicers, limits, self._registrar)

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
        return self._registrar.load

    async def start(self) -> None:
        """Listen, not serving yet; raises ``ListenError``, most often ``AddressInUseError``."""
        await self.set_serving(serving=False)
        self._address = bind(self._server, self._listen, reserved=self._reserved)
        await self._server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """Tell through health whether calls will be answered; ignored once stopping."""
        self._serving = serving
        self._tell_health()

    async def set_trusted(self, *, trusted: bool) -> None:
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
        await self._server.stop((_FLUSH / 2).total_seconds() if finished else None)
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
            health=servicers.health,
            peers=servicers.peers,
            component_search=servicers.component_search,
            detection=servicers.detection,
        )
        # It answers with bytes that are messages already (CallRegistrar lets them through), which generated types don't know of.
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


def server_options(limits: Limits, *, share_port: bool = False) -> list[tuple[str, int]]:
    """
    Channel arguments.

    What is sent has no limit here: traversals and pages keep to ``max_response_bytes`` by themselves, with an error that helps, and
    a batch that was written must be answered. What is received may be twice as long, packed or not, as the longest request may be: those in
    between are refused with an error that helps, too. Clients may send a ping every ten seconds, with or without calls; the server
    looks after a silent client once a minute, so that streams to machines that are gone end.
    """
    longest_request = max(
        limits.max_request_bytes, limits.max_metadata_request_bytes, limits.max_question_bytes
    )
    return [
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", 2 * longest_request),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", limits.max_streams_per_connection),
        # So many more may be over and not yet cleared away: a client that keeps to the limit would be refused now and then, above all
        # after a moment in which the server stood still and calls ran out of time.
        ("grpc.http2.max_deallocating_streams", _CLEARED_AWAY * limits.max_streams_per_connection),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.connection_idle_timeout)),
        # Calls that wait to be let in would be cancelled by gRPC without a word: their number is bounded by those of connections and
        # streams, and letting them in or refusing them is up to Admission.
        ("grpc.server.max_pending_requests", _NO_LIMIT),
        ("grpc.server.max_pending_requests_hard_limit", _NO_LIMIT),
        ("grpc.server_max_unrequested_time_in_server", _NO_LIMIT),
        ("grpc.http2.min_ping_interval_without_data_ms", 10 * _SECOND_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60 * _SECOND_MS),
        ("grpc.keepalive_timeout_ms", 20 * _SECOND_MS),
    ]


def _milliseconds(length: timedelta) -> int:
    return min(round(length.total_seconds() * _SECOND_MS), _NO_LIMIT)
