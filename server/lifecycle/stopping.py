"""How a process serves until it is asked to stop, and then ends in time."""

import asyncio
import contextlib
import faulthandler
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

Entered = TypeVar("Entered")

CLOSING = timedelta(seconds=2)
"""The time after the grace period of calls: for connections, workers and the embedded database."""
_STDERR = 2


class StopSignal:
    """
    The event that asks the process to stop; SIGTERM, SIGINT or ``ask`` set it.

    Make it where the event loop runs. Once it is set, the process has ``limit`` to end, None = any
    time. After that it writes the stacks of its threads to stderr and ends with exit code 1.
    """

    def __init__(self, limit: timedelta | None = None) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._signalled = False
        self._is_limited = False

    def listen(self) -> None:
        """Let SIGTERM and SIGINT set it. A second signal ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not the event loop's own handlers: a stuck loop never calls them, but needs the limit.
            signal.signal(number, self._take)

    def ask(self) -> None:
        """Set it."""
        self._begin_limit()
        self._asked.set()

    def insist(self) -> None:
        """Set it. If it is set already, end the process at once."""
        if self._asked.is_set():
            _end_at_once(signal.SIGTERM)
        self.ask()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._asked.wait()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        # A first signal after a call of ``ask`` does not count as a second one.
        if self._signalled or self._loop.is_closed():
            _end_at_once(signal.Signals(number))
            return
        self._signalled = True
        self._begin_limit()
        self._loop.call_soon_threadsafe(self._asked.set)

    def _begin_limit(self) -> None:
        if self.limit is None or self._is_limited:
            return
        self._is_limited = True
        # Its thread needs no interpreter lock, so it runs even if Python threads can't.
        faulthandler.dump_traceback_later(self.limit.total_seconds(), exit=True, file=_STDERR)


def _end_at_once(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


class ClosingTime:
    """The time in which a server closes: the ``grace`` period of its calls, and ``CLOSING``."""

    def __init__(self, grace: timedelta) -> None:
        self._whole = grace + CLOSING
        self._began: float | None = None

    def begin(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    @property
    def left(self) -> timedelta:
        """What is left of it; all of it before ``begin``."""
        passed = 0.0 if self._began is None else time.monotonic() - self._began
        return max(timedelta(), self._whole - timedelta(seconds=passed))


def run_server(
    make: Callable[[StopSignal], AbstractAsyncContextManager[str]],
    grace: timedelta,
    report: Callable[[str], None],
) -> None:
    """
    Make a server, which gives its address when it is entered, and serve until SIGTERM or SIGINT.

    Prints ``serving on ADDRESS`` on standard output once the server is entered. Calls that run when
    the signal comes may finish within ``grace``; ``CLOSING`` later the process has ended. A second
    signal ends it at once.
    """

    async def serve() -> None:
        stop = StopSignal(grace + CLOSING)
        stop.listen()
        # Programs wait for this line.
        await serve_until_stopped(
            make(stop),
            stop,
            lambda address: print(f"serving on {address}", flush=True),  # noqa: T201
            report,
        )

    run_to_the_end(serve())


async def serve_until_stopped(
    server: AbstractAsyncContextManager[Entered],
    stop: StopSignal,
    opened: Callable[[Entered], None],
    report: Callable[[str], None],
) -> None:
    """
    Enter the server, call ``opened`` with what that gives, wait for ``stop``, leave the server.

    A ``stop`` that comes first cancels the entering.
    """
    opening = asyncio.ensure_future(server.__aenter__())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait([opening, asked], return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        return
    asked.cancel()
    opened(await opening)
    await stop.wait()
    report("stopping: running calls may finish")
    await server.__aexit__(None, None, None)


def run_to_the_end(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as ``asyncio.run`` does, then lift the limit of a ``StopSignal`` in it."""
    try:
        asyncio.run(main)
    finally:
        # Everything is closed, so the exit code is known. The interpreter takes some 0.3 s more to
        # end.
        faulthandler.cancel_dump_traceback_later()
