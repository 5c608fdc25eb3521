"""Searches for components outside the event loop, shared by all who wait for them."""

import asyncio

from graphcore.components.components import Components

# After so many searches that changes of the graph made void, callers search on the event loop.
_TRIES = 3


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
