"""How a process that serves is asked to stop, and what it does then."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any


class StopSignal:
    """Set once by SIGTERM, SIGINT or whoever else wants the process to stop; made where the event loop runs."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._signalled = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT for it; the second of them ends the process at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take, number)

    def ask(self) -> None:
        """Set it."""
        self._asked.set()

    def insist(self) -> None:
        """Set it; if it was set already, end the process at once."""
        if self._asked.is_set():
            _end_at_once(signal.SIGTERM)
        self._asked.set()

    def _take(self, number: signal.Signals) -> None:
        # The first signal may come after somebody asked, and is no second one.
        if self._signalled:
            _end_at_once(number)
        self._signalled = True
        self._asked.set()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._asked.wait()


def _end_at_once(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


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
