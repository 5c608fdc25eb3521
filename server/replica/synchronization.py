"""How readers and the feed wait for each other. One event loop, so no thread locks."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta


class ReadLock:
    """
    Readers hold it over several awaits; the writer waits until they are done.

    A waiting writer goes before readers who come later, so neither side starves. A reader must not
    wait for anything that the writer brings about: that would be a deadlock.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = asyncio.Event()
        self._open.set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the writer up while the context lasts; entering waits for a writer that waits."""
        # In a loop: another writer may wait by the time this task runs again.
        while not self._open.is_set():
            await self._open.wait()
        self._readers += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._idle.set()

    async def wait_for_readers(self) -> None:
        """Wait until no reader holds the lock. The writer writes before its next await."""
        self._open.clear()
        try:
            while self._readers:
                await self._idle.wait()
        finally:
            self._open.set()


class Waiters:
    """Tasks that wait for a condition on the graph, checked whenever the graph has moved on."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def until(self, condition: Callable[[], bool], within: timedelta) -> bool:
        """Wait for a condition; False = time is up. It still holds when the waiter resumes."""
        if condition():
            return True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within.total_seconds()
        while (left := deadline - loop.time()) > 0:
            met = loop.create_future()
            self._waiting[met] = condition
            try:
                await asyncio.wait([met], timeout=left)
            finally:
                self._waiting.pop(met, None)
            # Memory may have been swapped for another database's since the wake-up: check again.
            if condition():
                return True
        return False

    def notify(self) -> None:
        """Wake every waiter whose condition holds now. O(waiters)."""
        for future, condition in tuple(self._waiting.items()):
            if not future.done() and condition():
                future.set_result(None)


class SnapshotTickets:
    """
    Numbers the snapshots of the database that memory is brought to.

    A reader takes ``next`` and waits until it ``is_done``: its snapshot came after the request.
    """

    def __init__(self) -> None:
        self._begun = self._done = 0
        self._began_at = self._confirmed_at = 0.0

    def begin(self) -> None:
        """Note that a snapshot is about to be taken."""
        self._begun += 1
        self._began_at = time.monotonic()

    def finish(self) -> None:
        """Note that memory has reached the snapshot that began last."""
        self._done = self._begun
        self._confirmed_at = self._began_at

    @property
    def next(self) -> int:
        """The ticket of the next snapshot."""
        return self._begun + 1

    def is_done(self, ticket: int) -> bool:
        """Whether memory has reached the snapshot of this ticket, or a later one."""
        return self._done >= ticket

    @property
    def lag(self) -> timedelta:
        """Time since memory was last known to equal the database."""
        return timedelta(seconds=time.monotonic() - self._confirmed_at)
