"""The one place that builds the application: what is opened, in which order, and closed in the reverse of it."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Self

import structlog

from server.config import Settings
from server.domain.errors import DatabaseUnavailableError
from server.domain.services import ServiceFilter
from server.feed import Auditor, ChangeLogReader, Feed, Vitals, prune_forever
from server.formats.batches import batches
from server.formats.native import read_native
from server.replica import Replica, Watches
from server.rpc.decode import ingest_batch
from server.rpc.server import RpcServer, Servicers
from server.store import migrate
from server.store.alerts import AlertRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from server.store.services import ServiceRepository

log = structlog.get_logger(__name__)

Report = Callable[[str], None]

LONGEST_PAUSE = timedelta(seconds=5)
EMBEDDED_LOOK = timedelta(seconds=1)


class SchemaBehindError(Exception):
    """The database lacks migrations, and the settings forbid to run them."""


class Application:
    """
    One running server; an async context manager that is SERVING when entered, and has let every call finish when left.

    Entering waits as long as the database is away. ``address`` is where it listens, known while it still starts.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._stack = AsyncExitStack()
        self._rpc_server: RpcServer | None = None
        self.replica = Replica(settings.feed.longest_wait)
        self.vitals = Vitals(settings.feed)
        self.address = ""

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
        url = settings.database_url or await self._open_embedded(stack)
        database = await stack.enter_async_context(_database(url, settings))
        tasks = await stack.enter_async_context(background())
        self._rpc_server = rpc = self._rpc(database, url)
        await rpc.start()
        stack.push_async_callback(rpc.stop, settings.limits.grace)
        self.address = rpc.address
        await self._bring_schema_up_to_date(url)
        if settings.seed_file is not None:
            await self._seed(database)
        feed = Feed(url, self.replica, settings.feed, vitals=self.vitals)
        self.replica.ask = feed.wake
        tasks(feed.run())
        tasks(prune_forever(url, settings.feed, self.vitals))
        tasks(Auditor(url, feed, self.replica, settings.feed, self.vitals).run())
        await self.replica.warmed()
        await rpc.set_serving(serving=True)

    async def _open_embedded(self, stack: AsyncExitStack) -> str:
        embedded = await stack.enter_async_context(
            EmbeddedPostgres(self._settings.data_dir, report=self._report)
        )
        tasks = await stack.enter_async_context(background())
        tasks(_keep_running(embedded))
        return embedded.url

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
        )
        return RpcServer(self._settings.listen, servicers, self._settings.limits)

    async def _bring_schema_up_to_date(self, url: str) -> None:
        failures = 0
        while True:
            try:
                await self._migrate(url)
            except DatabaseUnavailableError as error:
                failures += 1
                longest = min(LONGEST_PAUSE.total_seconds(), 0.1 * 2 ** min(failures, 10))
                self._report(f"waiting for the database: {error.message}")
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
            else:
                return

    async def _migrate(self, url: str) -> None:
        if self._settings.migrate:
            for step in await migrate.upgrade(url):
                self._report(f"migrated the database to {step.revision}: {step.title}")
            return
        status = await migrate.status(url)
        if status.pending:
            raise SchemaBehindError(
                f"the database is at migration {status.current or 'none'} and this program needs {status.head}: "
                "run 'depgraph migrate up', or serve without --no-migrate"
            )

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
async def background() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Give a function that starts a coroutine beside; at the end all of them are cancelled and waited for."""
    running: set[asyncio.Task[None]] = set()
    try:
        yield lambda work: running.add(asyncio.ensure_future(work))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


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


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start the embedded database again whenever it has ended by itself: killed, out of memory, crashed."""
    while True:
        await asyncio.sleep(EMBEDDED_LOOK.total_seconds())
        if embedded.pid is not None:
            continue
        log.error("the embedded database has ended by itself; starting it again")
        try:
            await embedded.start()
        except EmbeddedPostgresError as error:
            log.error("the embedded database does not start", error=str(error))  # noqa: TRY400 - the message says it all
