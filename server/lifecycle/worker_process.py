"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from prometheus_client.metrics_core import Metric

from server.lifecycle.runtime import background
from server.lifecycle.stopping import CLOSING
from server.lifecycle.worker_control import (
    Census,
    Figures,
    FiguresWanted,
    Line,
    LineClosedError,
    Order,
    Ping,
    Serving,
    Stop,
)

# So many pings in a row without an answer make a worker hang: one alone may get lost in our own delays.
TOLERATED_PINGS = 10
# From so many on it counts as not serving, though it may come back.
SUSPICIOUS_PINGS = 5
STARTING = timedelta(seconds=60)
"""
The patience with a worker that does not serve yet.

It holds nobody up, for it does not listen. Importing everything from a slow disk may hold up its event loop for long, and one that
was killed for that would never start.
"""


class Heartbeat:
    """
    Counts the pings in a row that a worker did not answer until the next one was due.

    It counts what the supervisor did and not what a clock says. A supervisor that was suspended, or was denied the processor, sent
    nothing in that time, so all of it counts as a single ping.
    """

    def __init__(self, worker_timeout: timedelta) -> None:
        self._timeout = worker_timeout
        self._answered = False
        self.unanswered = 0
        self.serves = False
        """Whether the worker has said that it serves; set by whoever heard that."""

    @property
    def interval(self) -> timedelta:
        """How long after a ping the next one is due."""
        return self._timeout / TOLERATED_PINGS

    def heard(self) -> None:
        """Note that anything came from the worker, which only a running event loop sends."""
        self._answered = True

    def ping_is_over(self) -> None:
        """Note that the next ping is due."""
        self.unanswered = 0 if self._answered else self.unanswered + 1
        self._answered = False

    @property
    def is_suspicious(self) -> bool:
        """Whether the worker has not answered for so long that nobody should rely on it."""
        return self.unanswered >= SUSPICIOUS_PINGS

    @property
    def is_hung(self) -> bool:
        """Whether nothing more is expected of the worker."""
        return self.unanswered * self.interval >= self.patience

    @property
    def patience(self) -> timedelta:
        """How long the worker may leave pings unanswered now."""
        return self._timeout if self.serves else max(self._timeout, STARTING)


log = structlog.get_logger(__name__)

# Beyond the grace period of its calls. What it closes then takes less than that, and the embedded database needs the rest of ``CLOSING``.
_CLOSING_OF_WORKER = CLOSING / 2
_STDERR = 2


class WorkerProcess:
    """
    A fresh interpreter that serves what its ``Order`` says, and stops by itself once its line to us is cut.

    It is pinged all the while, and killed when it does not answer (see ``Heartbeat``).
    """

    def __init__(self, process: Process, line: Line, order: Order, changed: Callable[[], None]) -> None:
        self._process = process
        self._line = line
        self._number = order.number
        self._changed = changed
        self._heartbeat = Heartbeat(order.settings.worker_timeout)
        self._heard_at = 0.0
        self._questions = itertools.count()
        self._asked: dict[int, asyncio.Future[Sequence[Metric]]] = {}
        self._is_cut = False
        self._serving_since: float | None = None
        self._silence: timedelta | None = None

    @classmethod
    @asynccontextmanager
    async def running(
        cls, command: Sequence[str], order: Order, changed: Callable[[], None]
    ) -> AsyncIterator["WorkerProcess"]:
        """
        Run ``command FD``, FD being its end of the line, while the context lasts; ``changed`` is called whenever ``is_serving`` changes.

        At the end it is asked to stop if it still runs, and killed when that takes a second longer than the grace period of calls.
        Raises ``OSError`` when no process can be started.
        """
        process, line = await _started(command)
        worker = cls(process, line, order, changed)
        line.send(order)
        async with background() as tasks:
            tasks(worker._listen())
            tasks(worker._watch())
            try:
                yield worker
            finally:
                await worker._end(order.settings.limits.grace + _CLOSING_OF_WORKER)
                await line.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended_by(self) -> str:
        """What ended it, for people."""
        if self._silence is not None:
            return f"killed: it did not answer for {self._silence.total_seconds():g} s"
        code = self._process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    @property
    def has_hung(self) -> bool:
        """Whether it was killed because it did not answer."""
        return self._silence is not None

    @property
    def is_serving(self) -> bool:
        """Whether it has said that it serves, and answers."""
        return self._serving_since is not None and not self._heartbeat.is_suspicious

    @property
    def served_for(self) -> float | None:
        """For how many seconds it has served, which it did not while it hung; None = never."""
        if self._serving_since is None:
            return None
        until = self._heard_at if self.has_hung else asyncio.get_running_loop().time()
        return until - self._serving_since

    async def ended(self) -> None:
        """Wait until the process has ended."""
        await self._process.wait()

    def tell(self, census: Census) -> None:
        """Tell it how many workers serve."""
        self._line.send(census)

    async def figures(self, patience: timedelta) -> Sequence[Metric]:
        """Ask for its figures; none when it has ended or doesn't answer in that time."""
        if self._is_cut:
            return ()
        question = next(self._questions)
        answer: asyncio.Future[Sequence[Metric]] = asyncio.get_running_loop().create_future()
        self._asked[question] = answer
        self._line.send(FiguresWanted(question))
        try:
            async with asyncio.timeout(patience.total_seconds()):
                return await answer
        except TimeoutError:
            return ()
        finally:
            del self._asked[question]

    async def _listen(self) -> None:
        with contextlib.suppress(LineClosedError):
            while True:
                self._hear(await self._line.receive())
        self._is_cut = True
        for question in self._asked:
            self._hear(Figures(question, ()))

    def _hear(self, message: object) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._heartbeat.heard()
        match message:
            case Serving():
                log.info("a worker serves", worker=self._number)
                self._heartbeat.serves = True
                self._serving_since = self._heard_at
                self._changed()
            case Figures(question, families):
                if (answer := self._asked.get(question)) is not None and not answer.done():
                    answer.set_result(families)

    async def _watch(self) -> None:
        heartbeat = self._heartbeat
        while not heartbeat.is_hung:
            self._line.send(Ping())
            await asyncio.sleep(heartbeat.interval.total_seconds())
            was_suspicious = heartbeat.is_suspicious
            heartbeat.ping_is_over()
            if self._serving_since is not None and heartbeat.is_suspicious is not was_suspicious:
                self._tell_suspicion()
        self._silence = heartbeat.patience
        log.error(
            "a worker does not answer; killing it",
            worker=self._number,
            pid=self.pid,
            silent_seconds=self._silence.total_seconds(),
        )
        self._kill()

    def _tell_suspicion(self) -> None:
        if self.is_serving:
            log.info("a worker answers again", worker=self._number, pid=self.pid)
        else:
            log.warning("a worker does not answer", worker=self._number, pid=self.pid)
        self._changed()

    async def _end(self, patience: timedelta) -> None:
        self._line.send(Stop())
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self.ended()
        except TimeoutError:
            log.error("a worker does not stop; killing it", worker=self._number, pid=self.pid)  # noqa: TRY400 - the message says it all
            self._kill()
            await self.ended()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def _started(command: Sequence[str]) -> tuple[Process, Line]:
    ours, theirs = socket.socketpair()
    with theirs:
        line = await Line.over(ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                stdin=DEVNULL,
                stdout=_STDERR,  # ours is for the one line that programs wait for
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the supervisor, which then stops its workers in order
            )
        except BaseException:
            await line.close()
            raise
    return process, line


def _environment() -> dict[str, str]:
    """Ours, with the modules found where we found ours, whatever folder we were started from."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
