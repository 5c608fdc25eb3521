"""Coroutines that run beside, for as long as something lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias

Background: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine beside."""


@asynccontextmanager
async def background(patience: timedelta | None = None) -> AsyncIterator[Background]:
    """
    Give a function that starts a coroutine beside; at the end all of them are cancelled and waited for.

    One that does not end within ``patience`` is cancelled again, None = never. A single cancellation may do no more than end the wait
    for a database that does not answer, and begin the wait for the cancellation of the statement there.
    """
    running: set[asyncio.Task[None]] = set()
    try:
        yield lambda work: running.add(asyncio.ensure_future(work))
    finally:
        for task in running:
            task.cancel()
        while patience is not None and (unfinished := [task for task in running if not task.done()]):
            await asyncio.wait(unfinished, timeout=patience.total_seconds())
            for task in unfinished:
                task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
