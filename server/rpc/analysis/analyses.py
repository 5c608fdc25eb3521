"""Analyses of the graph, which take longer than anybody else should have to wait."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from graphcore import DependencyGraph
from server.domain.consistency import Consistency, Freshness
from server.rpc.context import Context, time_left
from server.rpc.ports import LiveGraph

Found = TypeVar("Found")


class Analyses:
    """
    Runs analyses in a thread, one at a time, on a graph that stands still meanwhile.

    Changes wait for the end of one, so it has to bound its work to a second or so, whatever the graph. Others read the graph at the same time: work
    must change nothing in it, and use no scratch space that belongs to the graph. What it returns has to be of use once the graph has moved on: records, not indices.
    """

    def __init__(self, live: LiveGraph) -> None:
        self._live = live
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[object]] = set()

    async def run(
        self, wanted: Consistency, context: Context, work: Callable[[DependencyGraph], Found]
    ) -> tuple[Found, Freshness]:
        """Return what ``work`` finds in the graph, once that is as fresh as wanted, and which snapshot that was; raises what ``work`` raises."""
        await self._live.at(wanted, time_left(context))
        running = asyncio.create_task(self._alone(work))
        # The loop itself keeps no reference to a task.
        self._running.add(running)
        running.add_done_callback(self._over)
        # A thread can't be interrupted: when the caller is gone, the graph has to stand still until the work is done all the same.
        return await asyncio.shield(running)

    async def _alone(self, work: Callable[[DependencyGraph], Found]) -> tuple[Found, Freshness]:
        async with self._turn, self._live.read_lock():
            graph, freshness = self._live.now(), self._live.freshness()
            return await asyncio.to_thread(work, graph), freshness

    def _over(self, running: asyncio.Task[object]) -> None:
        self._running.discard(running)
        # What nobody asks for is reported as a defect when the task is dropped.
        if not running.cancelled():
            running.exception()
