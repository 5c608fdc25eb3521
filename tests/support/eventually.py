"""Waiting for something that happens by itself."""

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 30.0


async def eventually(condition: Callable[[], bool], within: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition holds, looking every few milliseconds; fail when it never does."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
