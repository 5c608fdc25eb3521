"""The parent process of the workers: keeps them running, and does once what is needed once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry

from server.config import Settings
from server.lifecycle.database import bring_up_to_date, running_database, seed
from server.lifecycle.runtime import background
from server.lifecycle.stopping import ClosingTime, run_server
from server.lifecycle.worker_link import Order, PeerCount
from server.lifecycle.worker_process import WorkerProcess
from server.metrics import WorkforceCollector, WorkforceMetrics, metrics_endpoint
from server.rpc.listeners import reserved
from server.store.database import Database

log = structlog.get_logger(__name__)

# A worker that served for less than this ended at once.
SOON = timedelta(seconds=10)
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
# After ending at once so many times in a row, another start is useless.
HOPELESS = 5

_DEFAULT_CONNECTIONS = 100
# The feed's, the pruner's, the auditor's two, the sweeper's, detection's, that of sources, and one
# to spare.
_BESIDE_THE_POOL = 8
# For the supervisor, people and PostgreSQL's own reserve.
_OTHERS = 15


class WorkersKeepEndingError(Exception):
    """Workers keep ending as soon as they are started; the message says how the last one ended."""


@dataclass(slots=True)
class Restarts:
    """Counts the ends of one worker, ``at_once`` those in a row without ``SOON`` of service."""

    count: int = 0
    hangs: int = 0
    at_once: int = 0

    def ended(self, served_for: timedelta | None) -> float:
        """Count an end, None = it never served; returns the seconds to wait, doubled each time."""
        if served_for is not None and served_for >= SOON:
            self.at_once = 0
            return 0.0
        self.at_once += 1
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.at_once - 1, 16))

    @property
    def is_hopeless(self) -> bool:
        """Whether it ended at once too often."""
        return self.at_once >= HOPELESS


class Workforce:
    """
    Keeps a worker for each order running while ``running`` lasts.

    It gives up when further starts are useless. Until all workers have served, that is when one of
    them has ended at once ``HOPELESS`` times in a row. Afterwards it is when all of them have,
    since fewer workers are better than none; then it calls ``gave_up``. ``failure`` says why.
    """

    def __init__(self, command: Sequence[str], orders: Sequence[Order], gave_up: Callable[[], None]) -> None:
        self._command = command
        self._orders = orders
        self._gave_up = gave_up
        self._workers: dict[int, WorkerProcess] = {}
        self._restarts = {order.number: Restarts() for order in orders}
        self._started = asyncio.Event()
        self.failure: WorkersKeepEndingError | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start all workers at once; at the end stop all of them and wait for that."""
        async with background() as tasks:
            for order in self._orders:
                tasks(self._keep_running(order))
            yield

    async def all_serve(self) -> None:
        """Wait until all workers serve; raises ``WorkersKeepEndingError``."""
        await self._started.wait()
        if self.failure is not None:
            raise self.failure

    async def metrics(self) -> WorkforceMetrics:
        """Ask every worker for its metrics, all at the same time."""
        asked = dict(self._workers)
        answers = await asyncio.gather(*(worker.metrics() for worker in asked.values()))
        return WorkforceMetrics(
            count=len(self._orders),
            serving=self.serving,
            restarts={number: restarts.count for number, restarts in self._restarts.items()},
            hangs={number: restarts.hangs for number, restarts in self._restarts.items()},
            families=dict(zip(asked, answers, strict=True)),
        )

    async def _keep_running(self, order: Order) -> None:
        restarts = self._restarts[order.number]
        while True:
            served_for = None
            try:
                async with WorkerProcess.running(self._command, order, self._count_serving) as worker:
                    self._workers[order.number] = worker
                    try:
                        cause = await worker.ended()
                    finally:
                        del self._workers[order.number]
                        self._count_serving()
                served_for = worker.served_for
                restarts.hangs += bool(worker.killed_after)
            except OSError as error:
                cause = str(error)
            pause = restarts.ended(served_for)
            log.error("a worker has ended", worker=order.number, ended_by=cause, next_start_in_seconds=pause)
            self._give_up_if_hopeless(order.number, cause)
            await asyncio.sleep(pause)
            restarts.count += 1

    def _give_up_if_hopeless(self, number: int, cause: str) -> None:
        had_started = self._started.is_set()
        judge = all if had_started else any
        if self.failure is not None or not judge(each.is_hopeless for each in self._restarts.values()):
            return
        self.failure = WorkersKeepEndingError(
            f"worker {number} of {len(self._orders)} ended {self._restarts[number].at_once} times in a row "
            f"as soon as it was started (the last time: {cause}); the lines above say more"
        )
        if had_started:
            self._gave_up()
        self._started.set()

    @property
    def serving(self) -> int:
        """Workers that answer calls; may be read on any thread."""
        return sum(worker.is_serving for worker in tuple(self._workers.values()))

    def _count_serving(self) -> None:
        serving = self.serving
        if serving == len(self._orders):
            self._started.set()
        for worker in self._workers.values():
            worker.link.send(PeerCount(serving))


@asynccontextmanager
async def supervised(
    settings: Settings, report: Callable[[str], None], command: Sequence[str], gave_up: Callable[[], None]
) -> AsyncIterator[str]:
    """
    Run ``settings.workers`` processes, all of which serve, and give the addresses that they share.

    It runs the embedded database, migrates, loads the sample, reserves addresses and serves the
    metrics of all workers. ``command`` starts a worker (see ``WorkerProcess``). Entering and
    leaving raise ``WorkersKeepEndingError``; in between ``gave_up`` is called instead.
    """
    loop, closing = asyncio.get_running_loop(), ClosingTime(settings.limits.grace)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(
            running_database(settings, report, closing, max_connections=_connections(settings))
        )
        addresses = stack.enter_context(reserved(settings.addresses))
        of_worker = replace(settings.at(addresses), database_url=url)
        orders = [Order(of_worker, number + 1, settings.workers) for number in range(settings.workers)]
        workforce = Workforce(command, orders, gave_up)
        registry = CollectorRegistry()
        registry.register(
            WorkforceCollector(lambda: asyncio.run_coroutine_threadsafe(workforce.metrics(), loop).result())
        )
        await stack.enter_async_context(
            metrics_endpoint(settings.metrics_listen, registry, report, lambda: workforce.serving > 0)
        )
        await bring_up_to_date(url, report, may_migrate=settings.migrate)
        if settings.seed_file is not None:
            async with Database.open(url) as database:
                await seed(database, settings.seed_file, settings.limits, report)
        await stack.enter_async_context(workforce.running())
        await workforce.all_serve()
        stack.callback(closing.begin)
        yield str(addresses)
    if workforce.failure is not None:
        raise workforce.failure


def supervise(settings: Settings, report: Callable[[str], None], command: Sequence[str]) -> None:
    """Serve with workers until SIGTERM or SIGINT; raises ``WorkersKeepEndingError``."""
    run_server(lambda stop: supervised(settings, report, command, stop.ask), settings.limits.grace, report)


def _connections(settings: Settings) -> int | None:
    """Compute how many connections the workers may take; None = the default is enough."""
    busiest = settings.workers * (settings.pool.size + _BESIDE_THE_POOL) + _OTHERS
    return busiest if busiest > _DEFAULT_CONNECTIONS else None
