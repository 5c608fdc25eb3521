"""Components of the live graph, which are searched and named in a thread if that takes long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphcore import Component, DependencyGraph
from server.concurrency.component_search import SharedComponentSearch
from server.domain.consistency import Consistency, Freshness
from server.domain.live_graph import LiveGraph
from server.rpc.context import TimeLeft
from server.rpc.questions import require_services


class ComponentReader:
    """Reads components as fresh as wanted; long work runs in a thread under the read lock."""

    def __init__(self, live: LiveGraph, searches: SharedComponentSearch) -> None:
        self._live = live
        self._searches = searches

    async def of(
        self, service_id: str, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[Component, Freshness]:
        """
        Look up the component of a service; raises ``ServiceNotFoundError``.

        O(1), and O(members log members) once after a change.
        """
        graph = await self._searched(wanted, time_left)
        require_services(graph, service_id)
        if graph.components.is_named(graph.node(service_id)):
            return graph.component_of(service_id), self._live.freshness()
        async with self._locked(wanted, time_left) as locked:
            require_services(locked, service_id)
            found = await asyncio.to_thread(locked.component_of, service_id)
            return found, self._live.freshness()

    async def largest_first(
        self, min_size: int, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[list[Component], Freshness]:
        """List the components of at least ``min_size`` services, largest first."""
        graph = await self._searched(wanted, time_left)
        if graph.components.is_listed(min_size):
            return graph.components.largest_first(min_size), self._live.freshness()
        async with self._locked(wanted, time_left) as locked:
            found = await asyncio.to_thread(locked.components.largest_first, min_size)
            return found, self._live.freshness()

    async def _searched(self, wanted: Consistency, time_left: TimeLeft) -> DependencyGraph:
        """Return the graph once its components are known."""
        graph = await self._live.at(wanted, time_left())
        if graph.components.is_ready:
            return graph
        await self._searches.finish(graph.components)
        # The replica may have replaced the graph meanwhile.
        return await self._live.at(wanted, time_left())

    @asynccontextmanager
    async def _locked(self, wanted: Consistency, time_left: TimeLeft) -> AsyncIterator[DependencyGraph]:
        """Hold the read lock of the graph, whose components are known."""
        while True:
            await self._searched(wanted, time_left)
            async with self._live.read_lock():
                graph = self._live.now()
                # The replica may have replaced the graph before it was locked.
                if graph.components.is_ready:
                    # Here, not in the thread: other calls may do the same.
                    graph.components.finish()
                    yield graph
                    return
