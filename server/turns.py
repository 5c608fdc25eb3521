"""Long work on the event loop, a bit at a time."""

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

# How long one piece of work may keep everybody else waiting. A call takes ten turns of the loop, and waits at each of them.
LONGEST_TURN_SECONDS = 0.0005


# The works that want their next turn, by the event loop that they run on.
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, "deque[asyncio.Future[None]]"] = WeakKeyDictionary()


class Turns:
    """
    Lets others run every half a millisecond; made when the work begins.

    Of several such works one has its turn in a round of the event loop, so that a hundred keep others waiting no longer than one does.

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
            if self._rest:
                await asyncio.sleep(self._rest)
            await _own_round()
            self._ends = time.perf_counter() + self._length


async def _own_round() -> None:
    """Wait for a round of the event loop that no other work has its turn in; whoever waits longest comes first."""
    loop = asyncio.get_running_loop()
    queue = _queues.setdefault(loop, deque())
    turn = loop.create_future()
    queue.append(turn)
    if len(queue) == 1:
        loop.call_soon(_begin_turn, loop, queue)
    await turn


def _begin_turn(loop: asyncio.AbstractEventLoop, queue: "deque[asyncio.Future[None]]") -> None:
    # Work that was cancelled while it waited has no turn.
    while queue and queue[0].done():
        queue.popleft()
    if queue:
        queue.popleft().set_result(None)
    if queue:
        loop.call_soon(_begin_turn, loop, queue)
