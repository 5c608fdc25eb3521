"""Long work on the event loop, a bit at a time."""

import asyncio
import time

# How long one piece of work may keep everybody else waiting. A call takes a handful of turns of the loop, and waits at each of them.
LONGEST_TURN_SECONDS = 0.001


class Turns:
    """Lets others run every millisecond; made when the work begins."""

    __slots__ = ("_ends", "_length")

    def __init__(self, length: float = LONGEST_TURN_SECONDS) -> None:
        self._length = length
        self._ends = time.perf_counter() + length

    async def next(self) -> None:
        """Let the others run if it is their turn; costs 0.1 µs if not."""
        if time.perf_counter() > self._ends:
            await asyncio.sleep(0)
            self._ends = time.perf_counter() + self._length
