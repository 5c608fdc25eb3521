"""Long work on the event loop: it yields now and then, and callers share one search."""

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

from graphcore.components.components import Components

# How long work may run between two checkpoints. A call passes the event loop about ten times, and
# waits for the work that runs each time.
SLICE_SECONDS = 0.0005
# After so many searches that changes of the graph made void, callers search on the event loop.
_TRIES = 3

# Work that waits for its next slice, by the event loop that it runs on.
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, "deque[asyncio.Future[None]]"] = WeakKeyDictionary()


class CooperativeYield:
    """
    Lets other work run every half a millisecond. Make it where the work begins.

    Each round of the event loop resumes one work of this kind only, so a hundred of them delay
    other tasks no longer than one does.

    ``rest`` is for background work: sleep that many times the length of a slice between slices. A
    process that never sleeps has to share a busy processor even when it has something urgent to do.
    """

    __slots__ = ("_ends", "_length", "_rest")

    def __init__(self, length: float = SLICE_SECONDS, rest: float = 0) -> None:
        self._length = length
        self._rest = rest * length
        self._ends = time.perf_counter() + length

    async def checkpoint(self) -> None:
        """Let other work run if the slice is used up; costs 0.1 µs if it isn't."""
        if time.perf_counter() > self._ends:
            if self._rest:
                await asyncio.sleep(self._rest)
            await _own_round()
            self._ends = time.perf_counter() + self._length


async def _own_round() -> None:
    """Wait for a round of the event loop that resumes no other work; first come, first served."""
    loop = asyncio.get_running_loop()
    queue = _queues.setdefault(loop, deque())
    turn = loop.create_future()
    queue.append(turn)
    if len(queue) == 1:
        loop.call_soon(_resume_first, loop, queue)
    await turn


def _resume_first(loop: asyncio.AbstractEventLoop, queue: "deque[asyncio.Future[None]]") -> None:
    # Skip work that was cancelled while it waited.
    while queue and queue[0].done():
        queue.popleft()
    if queue:
        queue.popleft().set_result(None)
    if queue:
        loop.call_soon(_resume_first, loop, queue)


class SharedComponentSearch:
    """Runs one search at a time for each ``Components``: a second one would make the first void."""

    def __init__(self) -> None:
        self._running: list[tuple[Components, asyncio.Task[bool]]] = []

    async def finish(self, kept: Components) -> None:
        """Wait until ``kept`` can answer without a long search; the event loop stays free."""
        for _ in range(_TRIES):
            if kept.is_ready:
                return
            # Other callers still wait for the search when this one is cancelled.
            await asyncio.shield(self._search_of(kept))

    def _search_of(self, kept: Components) -> asyncio.Task[bool]:
        for known, task in self._running:
            if known is kept:
                return task
        begun = asyncio.create_task(_search(kept))
        self._running.append((kept, begun))
        begun.add_done_callback(self._forget)
        return begun

    def _forget(self, over: asyncio.Task[bool]) -> None:
        # This drops the last reference to a graph that was replaced meanwhile.
        self._running = [(known, task) for known, task in self._running if task is not over]


async def _search(kept: Components) -> bool:
    """Search in a thread; returns whether the components are known now."""
    search = kept.begin()
    await asyncio.to_thread(search.run)
    return kept.adopt(search)
