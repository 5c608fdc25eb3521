"""How a process that serves is asked to stop, and what it does then."""

import asyncio
import contextlib
import faulthandler
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import FrameType
from typing import Any

CLOSING = timedelta(seconds=2)
"""The time for all that comes after the grace period of calls: connections, workers, the embedded database."""
_STDERR = 2


class StopSignal:
    """
    Set once by SIGTERM, SIGINT or whoever else wants the process to stop; made where the event loop runs.

    From then on the process has ``limit`` to end, None = as long as it takes. One that has not ended by then does so at once, whatever it is
    doing, with exit code 1, and writes to stderr where each of its threads was.
    """

    def __init__(self, limit: timedelta | None = None) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._signalled = False
        self._is_limited = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT for it; the second of them ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not the loop's own handlers: they are not called when the loop is stuck, which is when the limit is needed.
            signal.signal(number, self._take)

    def ask(self) -> None:
        """Set it."""
        self._begin_limit()
        self._asked.set()

    def insist(self) -> None:
        """Set it; if it was set already, end the process at once."""
        if self._asked.is_set():
            _end_at_once(signal.SIGTERM)
        self.ask()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        # The first signal may come after somebody asked, and is no second one.
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
        # It watches on a thread that needs no interpreter: whatever keeps our threads from running does not keep it.
        faulthandler.dump_traceback_later(self.limit.total_seconds(), exit=True, file=_STDERR)

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._asked.wait()


def _end_at_once(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def run_to_the_end(main: Coroutine[Any, Any, None]) -> None:
    """Run what a process is there for, as ``asyncio.run`` does; the limit of a ``StopSignal`` in it ends with its event loop and threads."""
    try:
        asyncio.run(main)
    finally:
        # All is closed, which is what the exit code has to tell. The interpreter still takes some tenths of a second to end.
        faulthandler.cancel_dump_traceback_later()


class ClosingTime:
    """The time in which a server closes: ``grace`` for its calls, and ``CLOSING`` for all else."""

    def __init__(self, grace: timedelta) -> None:
        self._whole = grace + CLOSING
        self._began: float | None = None

    def begin(self) -> None:
        """Count from now on."""
        self._began = time.monotonic()

    @property
    def left(self) -> timedelta:
        """What is left of it; all of it where closing was never begun, since nothing was open yet."""
        passed = 0.0 if self._began is None else time.monotonic() - self._began
        return max(timedelta(), self._whole - timedelta(seconds=passed))


async def serve_until_stopped(
    application: AbstractAsyncContextManager[Any],
    stop: StopSignal,
    opened: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    """
    Open what serves, say so by ``opened``, wait until ``stop`` is set, say so by ``stopping``, close it.

    One that is still being opened when ``stop`` is set gives up and is not told.
    """
    opening = asyncio.ensure_future(application.__aenter__())
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait([opening, asked], return_when=asyncio.FIRST_COMPLETED)
    if not opening.done():
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await opening
        return
    asked.cancel()
    await opening
    opened()
    await stop.wait()
    stopping()
    await application.__aexit__(None, None, None)
