"""Searches for components outside the event loop, shared by all who wait for them."""

import asyncio

from graphcore.kept_components import KeptComponents

# After so many searches that changes of the graph made void, callers search on the event loop.
_TRIES = 3


class SharedComponentSearch:
    """Runs one search at a time for each ``KeptComponents``: a second one would make the first void."""

    def __init__(self) -> None:
        self._running: list[tuple[KeptComponents, asyncio.Task[bool]]] = []

    async def finish(self, kept: KeptComponents) -> None:
        """Wait until ``kept`` can answer without a long search; the event loop stays free."""
        for _ in range(_TRIES):
            if kept.is_ready:
                return
            # Other callers still wait for the search when this one is cancelled.
            await asyncio.shield(self._search_of(kept))

    def _search_of(self, kept: KeptComponents) -> asyncio.Task[bool]:
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


async def _search(kept: KeptComponents) -> bool:
    """Search in a thread; returns whether the components are known now."""
    search = kept.begin()
    await asyncio.to_thread(search.run)
    return kept.adopt(search)
