"""The one place that builds the application: what is opened, in which order, and closed in the reverse of it."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Self

from prometheus_client import CollectorRegistry

from server.config import Settings
from server.domain.services import ServiceFilter
from server.feed import Auditor, ChangeLogReader, Feed, Vitals, prune_forever
from server.formats.batches import batches
from server.formats.native import read_native
from server.lifecycle.background import Background, background
from server.lifecycle.embedded import embedded_database
from server.lifecycle.figures import metrics_endpoint, readings
from server.lifecycle.schema import bring_up_to_date
from server.lifecycle.trust import tell_trust
from server.metrics import CallMetrics
from server.replica import Replica, Watches
from server.rpc.decode import ingest_batch
from server.rpc.server import RpcServer, Servicers
from server.store.alerts import AlertRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository

Report = Callable[[str], None]


class Application:
    """
    One running server; an async context manager that is SERVING when entered, and has let every call finish when left.

    Entering waits as long as the database is away. ``address`` is where it listens, known while it still starts; so is
    ``metrics_address``, empty without metrics.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._stack = AsyncExitStack()
        self._rpc_server: RpcServer | None = None
        self.replica = Replica(settings.feed.longest_wait)
        # Looking through the graph for garbage, which it is not, would hold up everybody for half a second each time.
        self.replica.settled = gc.freeze
        self.vitals = Vitals(settings.feed)
        self.address = self.metrics_address = ""
        self._registry = CollectorRegistry()

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
        await self._stack.aclose()

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        url = settings.database_url
        if url is None:
            url = await stack.enter_async_context(embedded_database(settings.data_dir, self._report))
        database = await stack.enter_async_context(_database(url, settings))
        tasks = await stack.enter_async_context(background())
        self._rpc_server = rpc = self._rpc(database, url)
        self.metrics_address = await stack.enter_async_context(
            metrics_endpoint(
                settings.metrics_listen,
                self._registry,
                partial(readings, self.replica, self.vitals, database, rpc),
            )
        )
        if self.metrics_address:
            self._report(f"metrics at http://{self.metrics_address}/metrics")
        await rpc.start()
        stack.push_async_callback(rpc.stop, settings.limits.grace)
        self.address = rpc.address
        await bring_up_to_date(url, self._report, may_migrate=settings.migrate)
        if settings.seed_file is not None:
            await self._seed(database)
        self._start_feed(url, rpc, tasks)
        await self.replica.warmed()
        await rpc.set_serving(serving=True)

    def _start_feed(self, url: str, rpc: RpcServer, tasks: Background) -> None:
        settings = self._settings
        feed = Feed(url, self.replica, settings.feed, vitals=self.vitals)
        self.replica.ask = feed.wake
        tasks(feed.run())
        tasks(prune_forever(url, settings.feed, self.vitals))
        tasks(tell_trust(self.vitals, rpc))
        tasks(Auditor(url, feed, self.replica, settings.feed, self.vitals).run())

    def _rpc(self, database: Database, url: str) -> RpcServer:
        history = ChangeLogReader(url, self._settings.feed)
        servicers = Servicers(
            services=ServiceRepository(database),
            dependencies=DependencyRepository(database),
            alerts=AlertRepository(database),
            live=self.replica,
            watched=Watches(self.replica, history, self._settings.watch),
            started_at=datetime.now(UTC),
            version=version("depgraph"),
            health=self.vitals.health,
        )
        observer = CallMetrics(self._registry) if self._settings.metrics_listen else None
        return RpcServer(self._settings.listen, servicers, self._settings.limits, observer)

    async def _seed(self, database: Database) -> None:
        """Load the sample into a database without services; one that has any is left alone."""
        path = self._settings.seed_file
        if path is None or (await ServiceRepository(database).page(ServiceFilter(), 1, None)).rows:
            return
        dependencies = DependencyRepository(database)
        reports = read_native(path.read_bytes())
        for request in (batch for report in reports for batch in batches(report)):
            await dependencies.ingest(ingest_batch(request, self._settings.limits, now=datetime.now(UTC)))
        self._report(f"loaded {path} into the empty database")


def run(settings: Settings, report: Report) -> int:
    """
    Serve until SIGTERM or SIGINT; returns the exit code.

    Prints ``serving on ADDRESS`` on standard output once warm. Calls that run when the signal comes may finish, within the
    grace period; a second signal ends the process at once.
    """
    return asyncio.run(_serve(settings, report))


async def _serve(settings: Settings, report: Report) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_die, stop, number)
    application = Application(settings, report)
    opening = asyncio.ensure_future(application.__aenter__())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        return 0
    stopping.cancel()
    await opening
    print(f"serving on {application.address}", flush=True)  # noqa: T201 - the one line that programs wait for
    await stop.wait()
    report("stopping: running calls may finish")
    await application.__aexit__(None, None, None)
    return 0


def _stop_or_die(stop: asyncio.Event, number: signal.Signals) -> None:
    if stop.is_set():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stop.set()


@asynccontextmanager
async def _database(url: str, settings: Settings) -> AsyncIterator[Database]:
    pool = settings.pool
    async with await Database.open(
        url,
        pool_size=pool.size,
        burst=pool.burst,
        recycle_after=pool.recycle_after,
        acquire_timeout=pool.acquire_timeout,
    ) as database:
        yield database
