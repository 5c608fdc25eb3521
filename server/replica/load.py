"""A graph that is being read as a whole."""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import numpy as np

from graphcore import DependencyGraph, DependencyRecord, GraphBuilder, ServiceRecord
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.records import DependencyBatch, RecordFormat, ServiceBatch
from server.replica.records import BATCH_ROWS, Ends, can_be_edges, service_lots
from server.replica.subscriptions import GraphDiff

Record = TypeVar("Record", ServiceRecord, DependencyRecord)


class Load:
    """
    A graph being read aside, and compared on the way with the one that answers, which stands still meanwhile.

    Records that are in both are shared, so that a second graph takes little memory. ``settled`` is called after every batch: what was
    made until then will stay for long. O(everything); lets others run every half a millisecond.
    """

    def __init__(
        self,
        former: DependencyGraph | None,
        records: RecordFormat,
        settled: Callable[[], None],
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        self.began = time.monotonic()
        self._former = former
        self._settled = settled
        self._builder = GraphBuilder(cycle_confidence=cycle_confidence)
        self._ends = Ends(records)
        self._difference = GraphDiff()

    async def add_services(self, batch: ServiceBatch) -> None:
        """Take in some services; raises ``DuplicateNameError``."""
        yielding = CooperativeYield()
        for services in service_lots(batch):
            if self._former is not None:
                self._difference.services.extend(_share(services, self._former.find_service))
            self._builder.add_services(services)
            self._ends.add(services)
            await yielding.checkpoint()
        self._settled()

    async def add_dependencies(self, batch: DependencyBatch) -> None:
        """Take in some dependencies, after all services."""
        yielding, fits = CooperativeYield(), can_be_edges(batch)
        for _ in self._builder.making_room(len(batch.keys)):
            await yielding.checkpoint()
        for start in range(0, len(batch.keys), BATCH_ROWS):
            lot = np.flatnonzero(fits[start : start + BATCH_ROWS]) + start
            edges = self._ends.edges(batch, lot)
            if self._former is not None:
                self._difference.dependencies.extend(_share(edges, self._former.find_dependency))
            ends = np.stack((batch.sources[lot], batch.targets[lot]), axis=1)
            self._builder.add_dependencies(edges, ends, batch.flags[lot], batch.confidences[lot])
            await yielding.checkpoint()
        self._builder.add_waiting(
            [self._ends.waiting(batch, place) for place in np.flatnonzero(~fits).tolist()]
        )
        self._settled()

    async def complete(self) -> DependencyGraph:
        """Finish the graph, and find out what is gone."""
        # Its kernels run without the interpreter's lock: in a thread they hold up nobody.
        await asyncio.to_thread(self._builder.build_index)
        graph, former, seen, yielding = (
            self._builder.graph(),
            self._former,
            self._difference,
            CooperativeYield(),
        )
        if former is not None:
            for lot in former.service_lots(BATCH_ROWS):
                gone = [record for record in lot if record.key not in graph.service_keys]
                seen.removed_services.update((cast("bytes", record.key), record) for record in gone)
                await yielding.checkpoint()
            for edges in former.dependency_lots(BATCH_ROWS):
                lost = [record for record in edges if record.key not in graph.dependency_keys]
                seen.removed_dependencies.update((cast("bytes", record.key), record) for record in lost)
                await yielding.checkpoint()
        return graph

    async def difference(self) -> GraphDiff:
        """Return what watchers see of it, once it is complete; nothing for the first load, before which nobody watches."""
        return self._difference


def _share(loaded: list[Record], find_former: Callable[[Hashable], Record | None]) -> list[Record]:
    """Put records of the former graph in the place of equal ones; returns those that have no equal there."""
    new: list[Record] = []
    for place, record in enumerate(loaded):
        former = find_former(record.key)
        if former is not None and former == record:
            loaded[place] = former
        else:
            new.append(record)
    return new
