"""What would hold readers up is done aside: room is made and graphs are copied while others run."""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar, cast

from graphcore import ChangeSet, DependencyGraph, parts
from graphcore.components.components import Components
from graphcore.graph.index import TraversalIndex
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.held import HeldGraph

T = TypeVar("T")

_PART = 200


async def room_for(graph: DependencyGraph, dependency_count: int) -> TraversalIndex | None:
    """
    See to it that so many dependencies can be added without an array having to grow; the graph stands still meanwhile.

    Returns the index that the graph's must ``become`` when nobody reads it: threads may be in the middle of its arrays now. None = it has room.
    """
    index, held = graph.index, graph.dependency_count
    roomier = None
    if index.is_cramped(held, dependency_count):
        roomier = await asyncio.to_thread(index.roomier, held, dependency_count)
    yielding = CooperativeYield()
    for _ in graph.making_room(dependency_count):
        await yielding.checkpoint()
    return roomier


async def changed_copy(
    graph: DependencyGraph, changes: ChangeSet, copied: Callable[[], None]
) -> DependencyGraph:
    """
    Return a copy of the graph, which stands still meanwhile, with changes applied; raises ``DuplicateNameError``.

    ``copied`` is called whenever a part was copied, before anybody else runs. O(V + E), about 0.1 s for a million dependencies, + O(changed
    records). Records are shared.
    """
    more = len(changes.upserted_dependencies)
    # The kernel runs without the interpreter's lock: in a thread it holds up nobody.
    index = await asyncio.to_thread(graph.index.roomier, graph.dependency_count, more)
    copy, yielding = await _exhausted(graph.copying(index), copied), CooperativeYield()
    for part in parts(graph, changes, _PART):
        if roomier := await room_for(copy, len(part.upserted_dependencies)):
            copy.index.become(roomier)
        copy.apply(part)
        await yielding.checkpoint()
    return copy


async def noted(graph: DependencyGraph) -> HeldGraph:
    """Note all records of a graph, which stands still meanwhile. O(V + E), 40 ms for a million dependencies."""
    return HeldGraph(*await _exhausted(graph.noting(), lambda: None))


async def search_components(former: Components, kept: Components) -> None:
    """Find the components of a graph that nobody reads yet if they are known of the former one, so that whoever asks after the swap need not wait. O(V + E)."""
    # Until somebody has asked for components nobody pays for them.
    if not former.is_known:
        return
    search = await asyncio.to_thread(kept.begin)
    await asyncio.to_thread(search.run)
    kept.adopt(search)


async def dismantle(graph: DependencyGraph) -> None:
    """Let go of a graph that nobody uses any more, a bit at a time. O(V + E), and in no hurry."""
    yielding = CooperativeYield(rest=4)
    for _ in graph.dismantle():
        await yielding.checkpoint()


async def _exhausted(steps: Generator[None, None, T], done: Callable[[], None]) -> T:
    """Take steps until they end, letting others run; ``done`` is called after each."""
    yielding = CooperativeYield()
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return cast("T", ended.value)
        done()
        await yielding.checkpoint()
