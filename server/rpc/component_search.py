"""Components that are not known yet, searched aside."""

import asyncio

from graphcore import DependencyGraph

# A graph that changes too much during each search is searched on the event loop in the end, which holds everybody up once.
_TRIES = 3


class ComponentSearch:
    """One search at a time, for however many callers wait for it."""

    def __init__(self) -> None:
        self._graph: DependencyGraph | None = None
        self._search: asyncio.Task[bool] | None = None

    async def finish(self, graph: DependencyGraph) -> None:
        """Wait until the components of a graph can be asked for without holding anybody up; others run meanwhile."""
        for _ in range(_TRIES):
            if graph.kept_components.is_ready:
                return
            if self._search is None or self._search.done() or self._graph is not graph:
                self._graph, self._search = graph, asyncio.create_task(_search(graph))
            # Should this caller go, the others still wait for it.
            await asyncio.shield(self._search)


async def _search(graph: DependencyGraph) -> bool:
    """Search in a thread; returns whether components are known now."""
    search = graph.kept_components.begin()
    await asyncio.to_thread(search.run)
    return graph.kept_components.adopt(search)
