"""Reads both tables into a new graph, beside the one that answers."""

import asyncio
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import numpy as np

from graphcore import DependencyGraph, DependencyRecord, GraphBuilder, ServiceRecord
from server.concurrency import CooperativeYield
from server.domain.changes import TableBatch
from server.domain.records import DependencyBatch, RecordFormat, ServiceBatch
from server.replica.records import BATCH_ROWS, BatchDecoder, can_be_edges, service_records
from server.replica.subscriptions import GraphDiff

Record = TypeVar("Record", ServiceRecord, DependencyRecord)


class Load:
    """
    Builds a graph and compares it with the ``former`` one, which does not move meanwhile.

    Both graphs share equal records, so the second takes little memory. ``settled`` is called after
    every batch: the records made until then are kept for long. O(everything), in slices of half a
    millisecond.
    """

    def __init__(
        self,
        former: DependencyGraph | None,
        records: RecordFormat,
        settled: Callable[[], None],
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        self._former = former
        self._settled = settled
        self._builder = GraphBuilder(cycle_confidence=cycle_confidence)
        self._decoder = BatchDecoder(records)
        self._diff = GraphDiff()

    async def add(self, batch: TableBatch) -> None:
        """Add some rows, services before dependencies; raises ``DuplicateNameError``."""
        if isinstance(batch, ServiceBatch):
            await self._add_services(batch)
        else:
            await self._add_dependencies(batch)
        self._settled()

    async def complete(self) -> DependencyGraph:
        """Finish the graph, and find what the former one has that this one has not."""
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
