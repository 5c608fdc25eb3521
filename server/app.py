"""Builds the application: opens its parts in order, and closes them in reverse order."""

import gc
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol, Self

from prometheus_client import CollectorRegistry, ProcessCollector

from server.access.identification import Identification
from server.access.reloading import keep_looking
from server.concurrency import SharedComponentSearch
from server.config import Addresses, Settings, TlsSettings
from server.domain.live_graph import FeedHealth, Peers
from server.feed import ChangeLogReader, Feed, MemoryAuditor, Vitals, prune_forever
from server.lifecycle.database import bring_up_to_date, is_embedded, running_database, seed
from server.lifecycle.detection import Detection
from server.lifecycle.kernels import compiled_kernels
from server.lifecycle.monitoring import ServerCollector, sync_health
from server.lifecycle.pulling import Pulling, receiver_rules
from server.lifecycle.runtime import (
    SWITCH_INTERVAL_SECONDS,
    Background,
    background,
    freeze_garbage_collector,
    give_back_memory,
)
from server.lifecycle.stopping import ClosingTime, run_server
from server.lifecycle.tracing import call_tracer
from server.metrics import metrics_endpoint
from server.replica import KeptPasts, Replica, Watches
from server.rpc.callers import CallAccess, TrustedProxies
from server.rpc.graph.status import ServerStatus
from server.rpc.history.pasts import History
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.server import RpcServer, Servicers
from server.store.alerts import AlertRepository
from server.store.aliases import AliasRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.embedded import disk_watch
from server.store.history import HistoryReader
from server.store.history_changes import HistoryRepository
from server.store.marks import Marker
from server.store.reporters import KnownReporters
from server.store.services import ServiceRepository
from server.store.staleness import Sweeper
from server.store.writes import WriteRepository

if TYPE_CHECKING:
    from server.access.certificates import TlsFiles
    from server.rpc.tracing import CallTracer
    from server.web.transport import HttpTransport

Report = Callable[[str], None]


class Part(Protocol):
    """A part of the server that knows what is wrong with it."""

    def problems(self) -> Iterable[str]:
        """Report what needs care, in sentences for people."""


# The time for background tasks to end before they are cancelled again.
_PATIENCE = timedelta(milliseconds=250)


class Application:
    """
    A running server; an async context manager that is SERVING once entered.

    Entering waits for the database. Leaving lets running calls finish. ``addresses`` and
    ``metrics_address`` are known before it is entered; the latter is empty without metrics.

    With ``peers`` it is one of several workers. It listens only once it is warm, since the kernel
    deals connections to all workers that listen. The supervisor does the rest: it prepares the
    database, reserves the addresses and serves the metrics in ``registry``.
    """

    def __init__(self, settings: Settings, report: Report, peers: Peers | None = None) -> None:
        self._settings = settings
        self._report = report
        self._peers = peers
        self._closing = ClosingTime(settings.limits.grace)
        self._stack = AsyncExitStack()
        self._rpc_server: RpcServer | None = None
        self._tls = None if settings.tls is None else _opened(settings.tls)
        self._identification: Identification | None = None
        self.replica = Replica(settings.feed.longest_wait, cycle_confidence=settings.detection.min_confidence)
        # A garbage collection of the graph would stall all calls for half a second.
        self.replica.settled, self.replica.copied = freeze_garbage_collector, gc.freeze
        self.vitals = Vitals(settings.feed)
        self.replica.behind_because = self.vitals.away_because
        self.metrics_address = ""
        self.addresses = Addresses()
        self.registry = CollectorRegistry()

    @property
    def address(self) -> str:
        """Where it answers calls in plaintext."""
        return self.addresses.plain

    @property
    def running_calls(self) -> int:
        """Calls of the contract that are being answered now."""
        return self._rpc_server.running_calls if self._rpc_server else 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self._open(opening)
            self._stack = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.begin()
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        if _identifies_callers(settings):
            self._identification = Identification(settings.access.auth_file)
        kernels_loaded = await stack.enter_async_context(compiled_kernels(settings))
        url = await stack.enter_async_context(running_database(settings, self._report, self._closing))
        database = await stack.enter_async_context(_database(url, settings))
        tasks = await stack.enter_async_context(background(_PATIENCE))
        reader = HistoryReader(database)
        self.replica.past = KeptPasts(self.replica, reader)
        history = History(reader=reader, graphs=self.replica.past, store=HistoryRepository(reader))
        searches = SharedComponentSearch()
        detection = Detection(url, self.replica, settings.detection, searches)
        sweeper = Sweeper(url, settings.staleness, keeps_writes=bool(settings.keep_writes))
        marker = Marker(url, settings.history)
        dependencies = DependencyRepository(database, settings.staleness)
        pulling = Pulling(url, dependencies, settings.sources, settings.limits)
        reporters = KnownReporters(database)
        health = partial(self._health, (database, detection, sweeper, marker, pulling, reporters))
        worker = None if self._peers is None else self._peers.number
        tracer = await stack.enter_async_context(
            call_tracer(self._closing, enabled=settings.tracing, worker=worker)
        )
        otlp = OtlpReceiver(dependencies, settings.limits, receiver_rules(settings))
        # Calls end before: what the last ones brought is written, too.
        stack.push_async_callback(otlp.close)
        self._rpc_server = rpc = self._rpc(
            database,
            url,
            detection,
            searches,
            health,
            dependencies=dependencies,
            otlp=otlp,
            reporters=reporters,
            history=history,
            tracer=tracer,
        )
        collector = ServerCollector(
            replica=self.replica,
            vitals=self.vitals,
            database=database,
            rpc=rpc,
            otlp=otlp,
            sweeper=sweeper,
            marker=marker,
            detection=detection,
            reporters=reporters.now,
            health=health,
        )
        self.registry.register(collector)
        ProcessCollector(registry=self.registry)
        if self._peers is None:
            await self._start_alone(stack, url, database, rpc)
        await kernels_loaded()
        self._start_feed(url, rpc, tasks)
        tasks(sweeper.run())
        tasks(marker.run())
        tasks(give_back_memory())
        if self._tls is not None:
            tasks(keep_looking(self._tls.files))
        tasks(WriteRepository(database).prune_forever(settings.keep_writes))
        if self._identification is not None:
            tasks(self._identification.follow(rpc.end_refused_streams))
        await self.replica.warmed()
        tasks(detection.run())
        tasks(otlp.run())
        tasks(pulling.run())
        tasks(reporters.run())
        if self._peers is not None:
            await self._listen(stack, rpc)
        rpc.set_serving(serving=True)

    async def _start_alone(self, stack: AsyncExitStack, url: str, database: Database, rpc: RpcServer) -> None:
        """Serve metrics, listen and prepare the database, as a supervisor does for its workers."""
        settings = self._settings
        self.metrics_address = await stack.enter_async_context(
            metrics_endpoint(settings.metrics_listen, self.registry, self._report, lambda: rpc.is_serving)
        )
        await self._listen(stack, rpc)
        await bring_up_to_date(url, self._report, may_migrate=settings.migrate, waiting=self.vitals.waiting)
        if settings.seed_file is not None:
            await seed(database, settings.seed_file, settings.limits, self._report)

    async def _listen(self, stack: AsyncExitStack, rpc: RpcServer) -> None:
        await rpc.start()
        stack.push_async_callback(rpc.stop, self._settings.limits.grace)
        self.addresses = rpc.addresses

    def _start_feed(self, url: str, rpc: RpcServer, tasks: Background) -> None:
        settings = self._settings
        feed = Feed(url, self.replica, settings.feed, self.vitals)
        self.replica.ask = feed.wake
        tasks(feed.run())
        tasks(prune_forever(url, settings.feed, self.vitals))
        tasks(sync_health(self.vitals, rpc))
        tasks(MemoryAuditor(url, feed, self.replica, settings.feed, vitals=self.vitals).run())

    def _rpc(
        self,
        database: Database,
        url: str,
        detection: Detection,
        searches: SharedComponentSearch,
        health: Callable[[], FeedHealth],
        *,
        dependencies: DependencyRepository,
        otlp: OtlpReceiver,
        reporters: KnownReporters,
        history: History,
        tracer: "CallTracer | None",
    ) -> RpcServer:
        change_log = ChangeLogReader(url, self._settings.feed)
        servicers = Servicers(
            services=ServiceRepository(database),
            aliases=AliasRepository(database),
            dependencies=dependencies,
            alerts=AlertRepository(database),
            writes=WriteRepository(database),
            live=self.replica,
            watched=Watches(self.replica, change_log, self._settings.watch),
            history=history,
            otlp=otlp,
            component_search=searches,
            status=ServerStatus(
                started_at=datetime.now(UTC),
                version=version("depgraph"),
                health=health,
                peers=self._peers or Peers(),
                detection=detection.status,
                reporters=reporters.now,
            ),
        )
        settings = self._settings
        return RpcServer(
            settings.addresses,
            servicers,
            settings.limits,
            transport=settings.transport,
            tls=self._tls,
            http=self._http(),
            reserved=self._peers is not None,
            access=self._access(),
            reflection=settings.access.reflection,
            tracer=tracer,
        )

    def _http(self) -> "HttpTransport | None":
        settings = self._settings
        if not settings.http_listen:
            return None
        # Imported late: it takes a tenth of a second, and many servers have no such address.
        from server.web.in_process import Calls  # noqa: PLC0415
        from server.web.mcp.http import McpEndpoint  # noqa: PLC0415
        from server.web.transport import HttpTransport  # noqa: PLC0415

        calls = Calls()
        return HttpTransport(
            settings.limits,
            is_serving=lambda: self._rpc_server is not None and self._rpc_server.is_serving,
            share_port=self._peers is not None,
            names=settings.http_hosts,
            tls=self._tls,
            calls=calls,
            mounts={"/mcp": McpEndpoint(calls)},
        )

    def _access(self) -> CallAccess | None:
        if self._identification is None:
            return None
        return CallAccess(self._identification, TrustedProxies(self._settings.access.trusted_proxies))

    def _health(self, parts: Sequence[Part]) -> FeedHealth:
        health = self.vitals.health()
        workers = () if self._peers is None else self._peers.problems()
        tls = () if self._tls is None else self._tls.problems()
        access = () if self._identification is None else self._identification.problems()
        others = (*(problem for part in parts for problem in part.problems()), *workers, *tls, *access)
        return replace(health, problems=(*health.problems, *others))


def _identifies_callers(settings: Settings) -> bool:
    """Whether any setting gives callers an identity; calls cost nothing more otherwise."""
    has_client_ca = settings.tls is not None and settings.tls.client_ca is not None
    return settings.access.auth_file is not None or bool(settings.access.trusted_proxies) or has_client_ca


def _opened(files: TlsSettings) -> "TlsFiles":
    # Imported late: cryptography takes a tenth of a second, and most servers have no TLS.
    from server.access.certificates import TlsFiles  # noqa: PLC0415

    return TlsFiles(files.cert, files.key, files.client_ca)


def run(settings: Settings, report: Report) -> None:
    """Serve in this process until SIGTERM or SIGINT, see ``run_server``."""
    run_server(lambda _: _serving(settings, report), settings.limits.grace, report)


@asynccontextmanager
async def _serving(settings: Settings, report: Report) -> AsyncIterator[str]:
    async with Application(settings, report) as application:
        yield str(application.addresses)


@asynccontextmanager
async def _database(url: str, settings: Settings) -> AsyncIterator[Database]:
    pool = settings.pool
    async with Database.open(
        url,
        pool_size=pool.size,
        recycle_after=pool.recycle_after,
        acquire_timeout=pool.acquire_timeout,
        keeps_writes=bool(settings.keep_writes),
        no_room=disk_watch(settings.data_dir) if is_embedded(url, settings.data_dir) else lambda: None,
    ) as database:
        yield database
