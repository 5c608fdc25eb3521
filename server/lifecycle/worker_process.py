"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

import structlog
from prometheus_client.metrics_core import Metric

from server.lifecycle.runtime import background
from server.lifecycle.stopping import CLOSING
from server.lifecycle.worker_link import Link, LinkClosedError, Message, Order, WorkerMetrics

log = structlog.get_logger(__name__)

# A worker that leaves so many pings in a row unanswered hangs. One alone may be our own delay.
TOLERATED_PINGS = 10
# A worker that leaves so many pings in a row unanswered does not count as serving.
SUSPICIOUS_PINGS = 5
# The patience with a worker that does not serve yet. Imports from a slow disk may block its event
# loop for long. No caller waits for it, and if it were killed for that, it would never start.
STARTING = timedelta(seconds=60)
# A worker closes within this after the grace period. The embedded database needs the rest.
_CLOSING_OF_WORKER = CLOSING / 2
_METRICS_PATIENCE = timedelta(seconds=2)
_STDERR = 2


class Heartbeat:
    """
    Counts the pings in a row that a worker left unanswered until the next one was due.

    It reads no clock. A supervisor that was suspended, or got no processor time, sent no pings
    meanwhile, so that time counts as one ping. The owner sets ``serves``.
    """

    def __init__(self, worker_timeout: timedelta) -> None:
        self._timeout = worker_timeout
        self._answered = False
        self.interval = worker_timeout / TOLERATED_PINGS
        self.unanswered = 0
        self.serves = False

    def heard(self) -> None:
        """Note that a message came, which only a running event loop sends."""
        self._answered = True

    def ping_is_over(self) -> None:
        """Note that the next ping is due."""
        self.unanswered = 0 if self._answered else self.unanswered + 1
        self._answered = False

    @property
    def is_suspicious(self) -> bool:
        """Whether the worker may hang, so that it does not count as serving."""
        return self.unanswered >= SUSPICIOUS_PINGS

    @property
    def is_hung(self) -> bool:
        """Whether to kill the worker."""
        return self.unanswered * self.interval >= self.patience

    @property
    def patience(self) -> timedelta:
        """How long the worker may leave pings unanswered now."""
        return self._timeout if self.serves else max(self._timeout, STARTING)


class WorkerProcess:
    """A fresh interpreter that serves by its ``Order``, and stops once its link is closed."""

    def __init__(self, process: Process, link: Link, order: Order, changed: Callable[[], None]) -> None:
        self._process = process
        self._changed = changed
        self._heartbeat = Heartbeat(order.settings.worker_timeout)
        self._serving_since = 0.0
        self._metrics: asyncio.Future[Sequence[Metric]] | None = None
        self._log = log.bind(worker=order.number, pid=process.pid)
        self.link = link
        self.killed_after = timedelta()
        """How long it had not answered when it was killed for that; 0 = it was not."""

    @classmethod
    @asynccontextmanager
    async def running(
        cls, command: Sequence[str], order: Order, changed: Callable[[], None]
    ) -> AsyncIterator[Self]:
        """
        Run ``command FD`` while the context lasts, FD being the worker's end of the link.

        ``changed`` is called whenever ``is_serving`` changes. A worker that hangs is killed. At the
        end the worker is asked to stop, and killed a second after the grace period. Raises
        ``OSError`` when no process can be started.
        """
        process, link = await _start(command)
        worker = cls(process, link, order, changed)
        worker._log.info("started a worker")
        link.send(order)
        async with background() as tasks:
            tasks(worker._listen())
            tasks(worker._kill_when_hung())
            try:
                yield worker
            finally:
                await worker._stop(order.settings.limits.grace + _CLOSING_OF_WORKER)
                await link.close()

    @property
    def is_serving(self) -> bool:
        """Whether it has said that it serves, and answers."""
        return self._heartbeat.serves and not self._heartbeat.is_suspicious

    @property
    def served_for(self) -> timedelta | None:
        """How long it has served, without the time in which it hung; None = never."""
        if not self._heartbeat.serves:
            return None
        elapsed = asyncio.get_running_loop().time() - self._serving_since
        return timedelta(seconds=elapsed) - self.killed_after

    async def ended(self) -> str:
        """Wait until the process has ended, and describe how."""
        code = await self._process.wait()
        if self.killed_after:
            return f"killed: it did not answer for {self.killed_after.total_seconds():g} s"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    async def metrics(self) -> Sequence[Metric]:
        """Ask for its metrics; empty when it does not answer within two seconds."""
        # Scrapes share an answer: also one that an earlier scrape no longer waits for.
        if self._metrics is None:
            self._metrics = asyncio.get_running_loop().create_future()
            self.link.send(Message.METRICS)
        asked = self._metrics
        await asyncio.wait([asked], timeout=_METRICS_PATIENCE.total_seconds())
        return asked.result() if asked.done() else ()

    async def _listen(self) -> None:
        try:
            while True:
                message = await self.link.receive()
                self._heartbeat.heard()
                match message:
                    case Message.SERVING:
                        self._log.info("a worker serves")
                        self._heartbeat.serves = True
                        self._serving_since = asyncio.get_running_loop().time()
                        self._changed()
                    case WorkerMetrics(families) if self._metrics is not None:
                        self._metrics.set_result(families)
                        self._metrics = None
        except LinkClosedError:
            # All scrapes from now on share this answer.
            self._metrics = self._metrics or asyncio.get_running_loop().create_future()
            self._metrics.set_result(())

    async def _kill_when_hung(self) -> None:
        heartbeat = self._heartbeat
        while not heartbeat.is_hung:
            self.link.send(Message.PING)
            await asyncio.sleep(heartbeat.interval.total_seconds())
            was_serving = self.is_serving
            heartbeat.ping_is_over()
            if self.is_serving is not was_serving:
                if was_serving:
                    self._log.warning("a worker does not answer")
                else:
                    self._log.info("a worker answers again")
                self._changed()
        self.killed_after = heartbeat.patience
        self._log.error(
            "a worker does not answer; killing it", silent_seconds=heartbeat.patience.total_seconds()
        )
        self._kill()

    async def _stop(self, patience: timedelta) -> None:
        self.link.send(Message.STOP)
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._process.wait()
        except TimeoutError:
            self._log.error("a worker does not stop; killing it")
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def _start(command: Sequence[str]) -> tuple[Process, Link]:
    ours, theirs = socket.socketpair()
    with theirs:
        link = await Link.over(ours)
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                stdin=DEVNULL,
                stdout=_STDERR,  # programs wait for one line on our standard output
                pass_fds=(theirs.fileno(),),
                # Modules are found where we found ours, whatever the current folder.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                # Ctrl-C reaches the supervisor alone, which stops its workers in order.
                start_new_session=True,
            )
        except BaseException:
            await link.close()
            raise
    return process, link
