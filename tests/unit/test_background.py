"""Coroutines that run beside, and how they end."""

import asyncio
from datetime import timedelta

from server.lifecycle.runtime import background


async def test_a_background_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    survived: list[str] = []
    begun = asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        for time in ("first", "second"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                survived.append(time)
        await asyncio.Event().wait()

    async with background(timedelta(milliseconds=1)) as tasks:
        tasks(stubborn())
        await begun.wait()
    assert survived == ["first", "second"]
