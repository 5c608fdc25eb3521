"""Readers that wait for memory to move on."""

import asyncio
from collections.abc import Callable
from datetime import timedelta


class Waiters:
    """Conditions that are looked at again whenever memory has moved; one event loop, no locks."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def until(self, condition: Callable[[], bool], within: timedelta) -> bool:
        """Wait for a condition; False when the time was over first. The waiter runs with the state that made it true."""
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
            # Looked at once more: between the wake-up and this line memory may have been swapped for another database's.
            if condition():
                return True
        return False

    def look(self) -> None:
        """Wake everybody whose condition holds now. O(waiters)."""
        for future, condition in tuple(self._waiting.items()):
            if not future.done() and condition():
                future.set_result(None)
