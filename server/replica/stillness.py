"""Readers for whom the graph stands still over several turns of the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Stillness:
    """
    Holds the one writer up while readers are in the middle of something; one event loop, no locks.

    A writer who waits goes before readers who come later, so neither keeps the other out for good. Readers must not wait for
    anything that the writer brings about.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._nobody_reads = asyncio.Event()
        self._nobody_reads.set()
        self._open = asyncio.Event()
        self._open.set()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Hold the writer up while the context lasts; entering waits for one who waits already."""
        # Looked at again: the next writer may wait by the time that this task's turn comes.
        while not self._open.is_set():
            await self._open.wait()
        self._readers += 1
        self._nobody_reads.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._nobody_reads.set()

    async def over(self) -> None:
        """Wait until nobody reads; the writer writes before it awaits again."""
        self._open.clear()
        try:
            while self._readers:
                await self._nobody_reads.wait()
        finally:
            self._open.set()
