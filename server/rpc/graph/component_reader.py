"""Components of the live graph by name; those that take long to search or to name hold nobody up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from graphcore import Component, DependencyGraph, UnknownServiceError
from server.concurrency.component_search import SharedComponentSearch
from server.domain.consistency import Consistency, Freshness
from server.domain.errors import ServiceNotFoundError
from server.rpc.ports import LiveGraph
from server.rpc.validate import shown

TimeLeft = Callable[[], timedelta | None]


class ComponentReader:
    """Reads components as fresh as wanted; what is searched or named for long is done in a thread, while the graph stands still."""

    def __init__(self, live: LiveGraph, searches: SharedComponentSearch) -> None:
        self._live = live
        self._searches = searches

    async def of(
        self, service_id: str, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[Component, Freshness]:
        """Look up the component a service is in; raises ``ServiceNotFoundError``. O(1), O(members log members) once after a change."""
        graph = await self._searched(wanted, time_left)
        if graph.components.is_named(_node(graph, service_id)):
            return graph.component_of(service_id), self._live.freshness()
        async with self._still(wanted, time_left) as standing:
            _node(standing, service_id)
            found = await asyncio.to_thread(standing.component_of, service_id)
            return found, self._live.freshness()

    async def largest_first(
        self, min_size: int, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[list[Component], Freshness]:
        """List the components of at least ``min_size`` services; see ``Components.largest_first``."""
        graph = await self._searched(wanted, time_left)
        if graph.components.is_listed(min_size):
            return graph.components.largest_first(min_size), self._live.freshness()
        async with self._still(wanted, time_left) as standing:
            found = await asyncio.to_thread(standing.components.largest_first, min_size)
            return found, self._live.freshness()

    async def _searched(self, wanted: Consistency, time_left: TimeLeft) -> DependencyGraph:
        """Return the graph when its components are known, too."""
        graph = await self._live.at(wanted, time_left())
        if graph.components.is_ready:
            return graph
        await self._searches.finish(graph.components)
        # It may have been swapped meanwhile.
        return await self._live.at(wanted, time_left())

    @asynccontextmanager
    async def _still(self, wanted: Consistency, time_left: TimeLeft) -> AsyncIterator[DependencyGraph]:
        """Keep the graph, as it is now, from moving; its components are known."""
        while True:
            await self._searched(wanted, time_left)
            async with self._live.read_lock():
                standing = self._live.now()
                # Another may have taken its place before it stood still.
                if standing.components.is_ready:
                    # Here, not in the thread: others may ask at the same time.
                    standing.components.finish()
                    yield standing
                    return


def _node(graph: DependencyGraph, service_id: str) -> int:
    try:
        return graph.node(service_id)
    except UnknownServiceError:
        raise ServiceNotFoundError(f"no service named {shown(service_id)}", service_id=service_id) from None
