"""
The process above the workers.

It runs the embedded database, prepares it, keeps the address, starts the workers, tells how all of them are. It serves nothing itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from prometheus_client import CollectorRegistry

from server.config import Settings
from server.lifecycle.database import bring_up_to_date, embedded_database
from server.lifecycle.stopping import CLOSING, ClosingTime, StopSignal, run_to_the_end, serve_until_stopped
from server.lifecycle.worker_control import Order
from server.lifecycle.workforce import Workforce
from server.metrics import WorkforceCollector, WorkforceFigures, metrics_endpoint
from server.rpc.listening import reserve

Report = Callable[[str], None]

_DEFAULT_CONNECTIONS = 100
# The feed's, the pruner's, the auditor's two, the sweeper's, detection's, and one to spare.
_BESIDE_THE_POOL = 7
# For the supervisor, people and PostgreSQL's own reserve.
_OTHERS = 15


class Supervisor:
    """
    A server of ``settings.workers`` processes; an async context manager whose workers all serve when entered, and have ended when left.

    ``command`` starts a worker, given the number of a file descriptor (see ``WorkerProcess``). Entering and leaving raise
    ``WorkersKeepEndingError`` when there was no use in going on; in between ``gave_up`` is called when that is so.
    ``address`` is where the workers listen, each once it is warm; ``metrics_address`` is empty without metrics.
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
        self.address = self.metrics_address = ""

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
        url = settings.database_url
        if url is None:
            url = await stack.enter_async_context(
                embedded_database(
                    settings.data_dir, self._report, self._closing, max_connections=_connections(settings)
                )
            )
        await self._serve_metrics(stack)
        self.address = stack.enter_context(reserve(settings.listen))
        await bring_up_to_date(url, self._report, may_migrate=settings.migrate)
        if settings.seed_file is not None:
            await self._seed(url)
        await self._start_workers(stack, replace(settings, listen=self.address, database_url=url))

    async def _serve_metrics(self, stack: AsyncExitStack) -> None:
        registry = CollectorRegistry()
        loop = asyncio.get_running_loop()
        registry.register(
            WorkforceCollector(lambda: asyncio.run_coroutine_threadsafe(self._figures(), loop).result())
        )
        self.metrics_address = await stack.enter_async_context(
            metrics_endpoint(self._settings.metrics_listen, registry, self._report)
        )

    async def _figures(self) -> WorkforceFigures:
        if self._workforce is None:
            return WorkforceFigures(
                count=self._settings.workers, serving=0, restarts={}, hung={}, families={}
            )
        return await self._workforce.figures()

    async def _start_workers(self, stack: AsyncExitStack, settings: Settings) -> None:
        count = settings.workers
        orders = [Order(settings, number, count) for number in range(1, count + 1)]
        self._workforce = Workforce(self._command, orders, self._gave_up)
        await stack.enter_async_context(self._workforce.running())
        await self._workforce.all_serve()

    async def _seed(self, url: str) -> None:
        # What writes the sample is of no use to a supervisor afterwards, so most never load it.
        from server.lifecycle.seeding import seed  # noqa: PLC0415
        from server.store.database import Database  # noqa: PLC0415

        settings = self._settings
        if settings.seed_file is not None:
            async with await Database.open(url) as database:
                await seed(database, settings.seed_file, settings.limits, self._report)


def supervise(settings: Settings, report: Report, command: Sequence[str]) -> None:
    """
    Serve with several workers until SIGTERM or SIGINT.

    Prints ``serving on ADDRESS`` on standard output once all workers serve. Calls that run when the signal comes may finish, within
    the grace period; ``CLOSING`` later the process has ended, whatever its workers do. A second signal ends all of them at once. Raises
    ``WorkersKeepEndingError``.
    """
    run_to_the_end(_supervise(settings, report, command))


async def _supervise(settings: Settings, report: Report, command: Sequence[str]) -> None:
    stop = StopSignal(settings.limits.grace + CLOSING)
    stop.listen()
    supervisor = Supervisor(settings, report, command, stop.ask)

    def opened() -> None:
        print(f"serving on {supervisor.address}", flush=True)  # noqa: T201 - the one line that programs wait for

    await serve_until_stopped(supervisor, stop, opened, lambda: report("stopping: running calls may finish"))


def _connections(settings: Settings) -> int | None:
    """How many connections the embedded database must take: enough for every worker at its busiest; None = it does."""
    pool = settings.pool
    busiest = settings.workers * (pool.size + pool.burst + _BESIDE_THE_POOL) + _OTHERS
    return busiest if busiest > _DEFAULT_CONNECTIONS else None
