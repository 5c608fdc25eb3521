"""The parent process of the workers: does what is needed only once, and serves no calls."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from prometheus_client import CollectorRegistry

from server.config import Settings
from server.lifecycle.database import bring_up_to_date, running_database, seed
from server.lifecycle.stopping import ClosingTime, run_server
from server.lifecycle.worker_control import Order
from server.lifecycle.workforce import Workforce
from server.metrics import WorkforceCollector, WorkforceMetrics, metrics_endpoint
from server.rpc.listening import reserve
from server.store.database import Database

Report = Callable[[str], None]

_DEFAULT_CONNECTIONS = 100
# The feed's, the pruner's, the auditor's two, the sweeper's, detection's, and one to spare.
_BESIDE_THE_POOL = 7
# For the supervisor, people and PostgreSQL's own reserve.
_OTHERS = 15


class Supervisor:
    """
    A server of ``settings.workers`` processes; an async context manager.

    Entering waits until all workers serve.

    It runs the embedded database, migrates, loads the sample, reserves the address and serves the
    metrics of all workers. ``command`` starts a worker (see ``WorkerProcess``). ``address`` is
    where the workers listen, each once it is warm. Entering and leaving raise
    ``WorkersKeepEndingError``; in between ``gave_up`` is called instead.
    """

    def __init__(
        self, settings: Settings, report: Report, command: Sequence[str], gave_up: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._report = report
        self._command = command
        self._gave_up = gave_up
        self._workforce: Workforce | None = None
        self._closing = ClosingTime(settings.limits.grace)
        self._stack = AsyncExitStack()
        self.address = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self._open(opening)
            self._stack = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.begin()
        await self._stack.aclose()
        if self._workforce is not None and self._workforce.failure is not None:
            raise self._workforce.failure

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        database = running_database(
            settings, self._report, self._closing, max_connections=_connections(settings)
        )
        url = await stack.enter_async_context(database)
        await self._serve_metrics(stack)
        self.address = stack.enter_context(reserve(settings.listen))
        await bring_up_to_date(url, self._report, may_migrate=settings.migrate)
        if settings.seed_file is not None:
            async with await Database.open(url) as opened:
                await seed(opened, settings.seed_file, settings.limits, self._report)
        await self._start_workers(stack, replace(settings, listen=self.address, database_url=url))

    async def _serve_metrics(self, stack: AsyncExitStack) -> None:
        registry = CollectorRegistry()
        loop = asyncio.get_running_loop()
        registry.register(
            WorkforceCollector(lambda: asyncio.run_coroutine_threadsafe(self._metrics(), loop).result())
        )
        await stack.enter_async_context(
            metrics_endpoint(self._settings.metrics_listen, registry, self._report)
        )

    async def _metrics(self) -> WorkforceMetrics:
        if self._workforce is None:
            return WorkforceMetrics(count=self._settings.workers)
        return await self._workforce.metrics()

    async def _start_workers(self, stack: AsyncExitStack, settings: Settings) -> None:
        count = settings.workers
        orders = [Order(settings, number, count) for number in range(1, count + 1)]
        self._workforce = Workforce(self._command, orders, self._gave_up)
        await stack.enter_async_context(self._workforce.running())
        await self._workforce.all_serve()


def supervise(settings: Settings, report: Report, command: Sequence[str]) -> None:
    """
    Serve with several workers until SIGTERM or SIGINT, see ``run_server``.

    Raises ``WorkersKeepEndingError``.
    """
    run_server(lambda stop: Supervisor(settings, report, command, stop.ask), settings.limits.grace, report)


def _connections(settings: Settings) -> int | None:
    """Compute how many connections the workers may take; None = the default is enough."""
    pool = settings.pool
    busiest = settings.workers * (pool.size + pool.burst + _BESIDE_THE_POOL) + _OTHERS
    return busiest if busiest > _DEFAULT_CONNECTIONS else None
