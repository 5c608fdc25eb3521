"""Work on whole graphs in the background (load, copy, free) while the present graph answers."""

import asyncio
from collections.abc import Callable, Generator, Hashable
from typing import TypeVar, cast

import numpy as np

from graphcore import (
    AliasRecord,
    ChangeSet,
    DependencyGraph,
    DependencyRecord,
    GraphBuilder,
    ServiceRecord,
    split_changes,
)
from graphcore.components.components import Components
from graphcore.graph.index import TraversalIndex
from server.concurrency import CooperativeYield
from server.domain.changes import HeldGraph, TableBatch
from server.domain.records import AliasBatch, DependencyBatch, ServiceBatch
from server.replica.records import BATCH_ROWS, BatchDecoder, can_be_edges, service_records
from server.replica.subscriptions import GraphDiff

Record = TypeVar("Record", ServiceRecord, DependencyRecord, AliasRecord)
T = TypeVar("T")
# Dependencies applied between two checkpoints.
_PART = 200


class Load:
    """
    Builds a graph and compares it with the ``former`` one, which does not move meanwhile.

    Both graphs share equal records, so the second takes little memory. ``settled`` is called after
    every batch: its records are kept for long. O(everything), in slices of half a millisecond.
    """

    def __init__(
        self, former: DependencyGraph | None, settled: Callable[[], None], *, cycle_confidence: float = 0.0
    ) -> None:
        self._former = former
        self._settled = settled
        self._builder = GraphBuilder(cycle_confidence=cycle_confidence)
        self._decoder = BatchDecoder()
        self._diff = GraphDiff()

    async def add(self, batch: TableBatch) -> None:
        """Add some rows, services before dependencies; raises ``DuplicateNameError``."""
        if isinstance(batch, ServiceBatch):
            await self._add_services(batch)
        elif isinstance(batch, AliasBatch):
            await self._add_aliases(batch)
        else:
            await self._add_dependencies(batch)
        self._settled()

    async def complete(self) -> DependencyGraph:
        """Finish the graph, and find what only the former one has."""
        # In a thread: its kernels run without the interpreter's lock.
        await asyncio.to_thread(self._builder.build_index)
        graph = self._builder.graph()
        if self._former is not None:
            await self._find_removed(self._former, graph)
        return graph

    async def diff(self) -> GraphDiff:
        """Return what watchers see of it, once it is complete; empty for the first load."""
        return self._diff

    async def _add_services(self, batch: ServiceBatch) -> None:
        yielding = CooperativeYield()
        for services in service_records(batch):
            if self._former is not None:
                self._diff.services.extend(_share(services, self._former.find_service))
            self._builder.add_services(services)
            self._decoder.add(services)
            await yielding.checkpoint()

    async def _add_dependencies(self, batch: DependencyBatch) -> None:
        yielding, fits = CooperativeYield(), can_be_edges(batch)
        for _ in self._builder.making_room(len(batch.keys)):
            await yielding.checkpoint()
        for start in range(0, len(batch.keys), BATCH_ROWS):
            places = np.flatnonzero(fits[start : start + BATCH_ROWS]) + start
            edges = self._decoder.edges(batch, places)
            if self._former is not None:
                self._diff.dependencies.extend(_share(edges, self._former.find_dependency))
            ends = np.stack((batch.sources[places], batch.targets[places]), axis=1)
            self._builder.add_dependencies(edges, ends, batch.flags[places], batch.confidences[places])
            await yielding.checkpoint()
        self._builder.add_dangling(
            [self._decoder.waiting(batch, place) for place in np.flatnonzero(~fits).tolist()]
        )

    async def _add_aliases(self, batch: AliasBatch) -> None:
        yielding = CooperativeYield()
        for start in range(0, len(batch.records), BATCH_ROWS):
            aliases = batch.records[start : start + BATCH_ROWS]
            # Watchers see no aliases, so only the records matter.
            if self._former is not None:
                _share(aliases, self._former.find_alias)
            self._builder.add_aliases(aliases)
            await yielding.checkpoint()

    async def _find_removed(self, former: DependencyGraph, graph: DependencyGraph) -> None:
        yielding = CooperativeYield()
        for services in former.service_batches(BATCH_ROWS):
            gone = [record for record in services if record.key not in graph.service_keys]
            self._diff.removed_services.update((cast("bytes", record.key), record) for record in gone)
            await yielding.checkpoint()
        for edges in former.dependency_batches(BATCH_ROWS):
            lost = [record for record in edges if record.key not in graph.dependency_keys]
            self._diff.removed_dependencies.update((cast("bytes", record.key), record) for record in lost)
            await yielding.checkpoint()


def _share(loaded: list[Record], find_former: Callable[[Hashable], Record | None]) -> list[Record]:
    """Replace records by equal ones of the former graph; returns those that have no equal there."""
    new: list[Record] = []
    for place, record in enumerate(loaded):
        former = find_former(record.key)
        if former is not None and former == record:
            loaded[place] = former
        else:
            new.append(record)
    return new


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

    O(V + E) + O(changed records).
    """
    copy = await copy_of(graph, len(changes.upserted_dependencies), copied)
    await apply_in_parts(copy, changes)
    return copy


async def copy_of(graph: DependencyGraph, more: int, copied: Callable[[], None]) -> DependencyGraph:
    """
    Copy a graph, with room for ``more`` dependencies; nothing may change meanwhile.

    ``copied`` is called after each part, before other work runs. Both graphs share records. O(V +
    E), about 0.1 s for a million dependencies.
    """
    # In a thread: the kernel runs without the interpreter's lock.
    index = await asyncio.to_thread(graph.index.roomier, graph.dependency_count, more)
    return await _run_in_slices(graph.copying(index), copied)


async def apply_in_parts(graph: DependencyGraph, changes: ChangeSet) -> None:
    """Apply changes to a graph that nobody reads yet; raises ``DuplicateNameError``."""
    yielding = CooperativeYield()
    for part in split_changes(graph, changes, _PART):
        if roomier := await room_for(graph, len(part.upserted_dependencies)):
            graph.index.become(roomier)
        graph.apply(part)
        await yielding.checkpoint()


async def held_records(graph: DependencyGraph) -> HeldGraph:
    """Collect all records of a graph. O(V + E), 40 ms for a million dependencies."""
    return HeldGraph(*await _run_in_slices(graph.payload_tables(), lambda: None))


async def search_components(former: Components, kept: Components) -> None:
    """
    Find the components of a new graph if those of the former are known. O(V + E).

    So the first caller after the swap need not wait.
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
