"""Coroutines that run beside, for as long as something lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

Background: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Starts a coroutine beside."""


@asynccontextmanager
async def background() -> AsyncIterator[Background]:
    """Give a function that starts a coroutine beside; at the end all of them are cancelled and waited for."""
    running: set[asyncio.Task[None]] = set()
    try:
        yield lambda work: running.add(asyncio.ensure_future(work))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
