"""All workers of a server: started, restarted when they end, stopped together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import structlog

from server.lifecycle.runtime import background
from server.lifecycle.worker_control import Census, Order
from server.lifecycle.worker_process import WorkerProcess
from server.metrics import WorkforceFigures

SOON_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
# Ends at once, in a row, from which on nothing is expected of one more try.
HOPELESS = 5


@dataclass(slots=True)
class Restarts:
    """The ends of one worker. ``at_once`` counts those in a row that came before it served or soon after that."""

    at_once: int = 0

    def ended(self, served_for: float | None) -> float:
        """
        Count an end, after so many seconds of service, None = it never served.

        Returns for how many seconds to wait: not at all after a long life, and twice as long after each further end at once.
        """
        if served_for is not None and served_for >= SOON_SECONDS:
            self.at_once = 0
            return 0.0
        self.at_once += 1
        return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self.at_once - 1, 16))

    @property
    def hopeless(self) -> bool:
        """Whether it ended at once too often."""
        return self.at_once >= HOPELESS


log = structlog.get_logger(__name__)

FIGURES_PATIENCE = timedelta(seconds=2)


class WorkersKeepEndingError(Exception):
    """Workers end as soon as they are started, again and again; says how the last one did."""


class Workforce:
    """
    Keeps workers running for as long as ``running`` lasts.

    Gives up when there is no use in starting them again: before all of them have ever served, as soon as one ends at once
    ``restarts.HOPELESS`` times in a row; afterwards only when all do, since those that serve are better than none, and ``gave_up`` is called
    then. ``failure`` says why.
    """

    def __init__(self, command: Sequence[str], orders: Sequence[Order], gave_up: Callable[[], None]) -> None:
        self._command = command
        self._orders = orders
        self._gave_up = gave_up
        self._workers: dict[int, WorkerProcess] = {}
        self._restarts = {order.number: Restarts() for order in orders}
        self._restarted = dict.fromkeys(self._restarts, 0)
        self._hung = dict.fromkeys(self._restarts, 0)
        self._all_serve = asyncio.Event()
        self.failure: WorkersKeepEndingError | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Start every worker at once; at the end stop them all and wait for that."""
        async with background() as tasks:
            for order in self._orders:
                tasks(self._keep(order))
            yield self

    async def all_serve(self) -> None:
        """Wait until every worker serves, or none ever will; raises ``WorkersKeepEndingError``."""
        await self._all_serve.wait()
        if self.failure is not None:
            raise self.failure

    async def figures(self) -> WorkforceFigures:
        """Ask every worker for its figures, all at once."""
        asked = dict(self._workers)
        answers = await asyncio.gather(*(worker.figures(FIGURES_PATIENCE) for worker in asked.values()))
        return WorkforceFigures(
            count=len(self._orders),
            serving=self._serving(),
            restarts=dict(self._restarted),
            hung=dict(self._hung),
            families=dict(zip(asked, answers, strict=True)),
        )

    async def _keep(self, order: Order) -> None:
        """Run one worker after another."""
        number = order.number
        while True:
            try:
                cause, served_for = await self._run_once(order)
            except OSError as error:
                cause, served_for = str(error), None
            pause = self._restarts[number].ended(served_for)
            log.error("a worker has ended", worker=number, ended_by=cause, next_start_in_seconds=pause)
            self._give_up_if_hopeless(number, cause)
            await asyncio.sleep(pause)
            self._restarted[number] += 1

    async def _run_once(self, order: Order) -> tuple[str, float | None]:
        """Run one worker to its end; returns what ended it and for how many seconds it served, None = never."""
        async with WorkerProcess.running(self._command, order, self._tell_census) as worker:
            log.info("started a worker", worker=order.number, pid=worker.pid)
            self._workers[order.number] = worker
            try:
                await worker.ended()
            finally:
                del self._workers[order.number]
                self._tell_census()
        self._hung[order.number] += worker.has_hung
        return worker.ended_by, worker.served_for

    def _give_up_if_hopeless(self, number: int, cause: str) -> None:
        if self.failure is not None or not self._is_hopeless():
            return
        self.failure = WorkersKeepEndingError(
            f"worker {number} of {len(self._orders)} ended {self._restarts[number].at_once} times in a row as soon as it was started "
            f"(the last time: {cause}); the lines above say more"
        )
        if self._all_serve.is_set():
            self._gave_up()
        self._all_serve.set()

    def _is_hopeless(self) -> bool:
        judged = any if not self._all_serve.is_set() else all
        return judged(restarts.hopeless for restarts in self._restarts.values())

    def _serving(self) -> int:
        return sum(worker.is_serving for worker in self._workers.values())

    def _tell_census(self) -> None:
        census = Census(self._serving())
        if census.serving == len(self._orders):
            self._all_serve.set()
        for worker in self._workers.values():
            worker.tell(census)
