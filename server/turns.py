"""Long work on the event loop, a bit at a time."""

import asyncio
import time

# How long one piece of work may keep everybody else waiting. A call takes ten turns of the loop, and waits at each of them.
LONGEST_TURN_SECONDS = 0.0005


class Turns:
    """
    Lets others run every half a millisecond; made when the work begins.

    ``rest`` is how many times as long as a turn is slept before the next one, by work that nobody waits for: a process that never sleeps
    has to share a busy processor with others even when it has something urgent to do.
    """

    __slots__ = ("_ends", "_length", "_rest")

    def __init__(self, length: float = LONGEST_TURN_SECONDS, rest: float = 0) -> None:
        self._length = length
        self._rest = rest * length
        self._ends = time.perf_counter() + length

    async def next(self) -> None:
        """Let the others run if it is their turn; costs 0.1 µs if not."""
        if time.perf_counter() > self._ends:
            await asyncio.sleep(self._rest)
            self._ends = time.perf_counter() + self._length
