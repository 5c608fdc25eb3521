"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from prometheus_client.metrics_core import Metric

from server.lifecycle.background import background
from server.lifecycle.line import Line, LineClosedError
from server.lifecycle.messages import Census, Figures, FiguresWanted, Order, Serving, Stop
from server.lifecycle.stopping import CLOSING

log = structlog.get_logger(__name__)

# Beyond the grace period of its calls. What it closes then takes less than that, and the embedded database needs the rest of ``CLOSING``.
_CLOSING_OF_WORKER = CLOSING / 2
_STDERR = 2


class WorkerProcess:
    """
    A fresh interpreter that serves what its ``Order`` says, and stops by itself once its line to us is cut.

    ``serving_since`` is the time of the event loop when it said that it serves, None before.
    """

    def __init__(self, process: Process, line: Line) -> None:
        self._process = process
        self._line = line
        self._questions = itertools.count()
        self._asked: dict[int, asyncio.Future[Sequence[Metric]]] = {}
        self._serving = asyncio.Event()
        self._is_cut = False
        self.serving_since: float | None = None

    @classmethod
    @asynccontextmanager
    async def running(cls, command: Sequence[str], order: Order) -> AsyncIterator["WorkerProcess"]:
        """
        Run ``command FD``, FD being its end of the line, while the context lasts.

        At the end it is asked to stop if it still runs, and killed when that takes a second longer than the grace period of calls.
        Raises ``OSError`` when no process can be started.
        """
        process, line = await _started(command)
        worker = cls(process, line)
        line.send(order)
        async with background() as tasks:
            tasks(worker._listen())
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
        code = self._process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    async def served(self) -> None:
        """Wait until it serves."""
        await self._serving.wait()

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
        match message:
            case Serving():
                self.serving_since = asyncio.get_running_loop().time()
                self._serving.set()
            case Figures(question, families):
                if (answer := self._asked.get(question)) is not None and not answer.done():
                    answer.set_result(families)

    async def _end(self, patience: timedelta) -> None:
        self._line.send(Stop())
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self.ended()
        except TimeoutError:
            log.error("a worker does not stop; killing it", pid=self.pid)  # noqa: TRY400 - the message says it all
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()


async def _started(command: Sequence[str]) -> tuple[Process, Line]:
    ours, theirs = socket.socketpair()
    line = await Line.over(ours)
    with theirs:
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
