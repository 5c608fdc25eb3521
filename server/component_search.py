"""Components that are not known yet, searched aside."""

import asyncio

from graphcore.kept_components import KeptComponents

# A graph that changes too much during each search is searched on the event loop in the end, which holds everybody up once.
_TRIES = 3


class ComponentSearch:
    """One search at a time of the same components, for however many callers wait for it: a second one would make the first void."""

    def __init__(self) -> None:
        self._running: list[tuple[KeptComponents, asyncio.Task[bool]]] = []

    async def finish(self, kept: KeptComponents) -> None:
        """Wait until components can be asked for without holding anybody up; others run meanwhile."""
        for _ in range(_TRIES):
            if kept.is_ready:
                return
            # Should this caller go, the others still wait for it.
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
        # With it goes the last reference to a graph that was replaced meanwhile.
        self._running = [(known, task) for known, task in self._running if task is not over]


async def _search(kept: KeptComponents) -> bool:
    """Search in a thread; returns whether components are known now."""
    search = kept.begin()
    await asyncio.to_thread(search.run)
    return kept.adopt(search)
