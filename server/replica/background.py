"""Work on whole graphs in the background: readers go on meanwhile, and the graph does not move."""

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar, cast

from graphcore import ChangeSet, DependencyGraph, split_changes
from graphcore.components.components import Components
from graphcore.graph.index import TraversalIndex
from server.concurrency import CooperativeYield
from server.domain.changes import HeldGraph

T = TypeVar("T")

# Dependencies applied between two checkpoints.
_PART = 200


async def room_for(graph: DependencyGraph, dependency_count: int) -> TraversalIndex | None:
    """
    Make room for so many new dependencies, so that no array has to grow while the graph moves.

    Returns the index that the graph's must ``become`` once no thread reads it; None = it has room.
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
    Return a copy of the graph with changes applied; raises ``DuplicateNameError``.

    ``copied`` is called after each part, before other work runs. Both graphs share records.
    O(V + E), about 0.1 s for a million dependencies, + O(changed records).
    """
    more = len(changes.upserted_dependencies)
    # In a thread: the kernel runs without the interpreter's lock.
    index = await asyncio.to_thread(graph.index.roomier, graph.dependency_count, more)
    copy, yielding = await _run_in_slices(graph.copying(index), copied), CooperativeYield()
    for part in split_changes(graph, changes, _PART):
        if roomier := await room_for(copy, len(part.upserted_dependencies)):
            copy.index.become(roomier)
        copy.apply(part)
        await yielding.checkpoint()
    return copy


async def held_records(graph: DependencyGraph) -> HeldGraph:
    """Collect all records of a graph. O(V + E), 40 ms for a million dependencies."""
    return HeldGraph(*await _run_in_slices(graph.payload_tables(), lambda: None))


async def search_components(former: Components, kept: Components) -> None:
    """
    Find the components of a new graph if they are known of the former one. O(V + E).

    The first caller after the swap need not wait then.
    """
    if not former.is_known:
        return
    search = await asyncio.to_thread(kept.begin)
    await asyncio.to_thread(search.run)
    kept.adopt(search)


async def dismantle(graph: DependencyGraph) -> None:
    """Free a graph that is no longer used, at a fifth of a processor. O(V + E)."""
    yielding = CooperativeYield(rest=4)
    for _ in graph.dismantle():
        await yielding.checkpoint()


async def _run_in_slices(steps: Generator[None, None, T], done: Callable[[], None]) -> T:
    """Run a generator to its end and return its result; ``done`` is called after each step."""
    yielding = CooperativeYield()
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            return cast("T", ended.value)
        done()
        await yielding.checkpoint()
