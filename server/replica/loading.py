"""A graph that is being read as a whole."""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from graphcore import DependencyGraph, DependencyRecord, GraphBuilder, ServiceRecord
from server.domain.records import DependencyBatch, RecordFormat, ServiceBatch
from server.replica.comparing import Difference
from server.replica.records import dependency_record
from server.turns import Turns

Record = TypeVar("Record", ServiceRecord, DependencyRecord)

# Records made in one go: about a millisecond, and enough of them for what every go costs to disappear among them.
LOT = 500
# Most dependencies are certain: one object does for all of those.
_CERTAIN = 1.0


class Load:
    """
    A graph being read aside, and compared on the way with the one that answers, which stands still meanwhile.

    Records that are in both are shared, so that a second graph takes little memory. ``settled`` is called after every batch: what was
    made until then will stay for long. O(everything); lets others run every millisecond.
    """

    def __init__(
        self, former: DependencyGraph | None, records: RecordFormat, settled: Callable[[], None]
    ) -> None:
        self.began = time.monotonic()
        self._former = former
        self._records = records
        self._settled = settled
        self._builder = GraphBuilder()
        self._difference = Difference()
        self._keys: list[bytes] = []
        self._ends: NDArray[np.object_] | None = None

    async def add_services(self, batch: ServiceBatch) -> None:
        """Take in some services; raises ``DuplicateNameError``."""
        turns = Turns()
        for start in range(0, len(batch.keys), LOT):
            lot = slice(start, start + LOT)
            columns = batch.keys[lot], batch.names[lot], batch.records[lot], batch.briefs[lot]
            services = list(map(ServiceRecord._make, zip(*columns, strict=True)))
            if self._former is not None:
                self._difference.services.extend(_share(services, self._former.find_service))
            self._builder.add_services(services)
            await turns.next()
        self._keys += batch.keys
        self._settled()

    async def add_dependencies(self, batch: DependencyBatch) -> None:
        """Take in some dependencies, after all services."""
        turns = Turns()
        for _ in self._builder.making_room(len(batch.keys)):
            await turns.next()
        is_edge = (batch.sources != batch.targets) & (batch.flags >= 0)
        for start in range(0, len(batch.keys), LOT):
            lot = np.flatnonzero(is_edge[start : start + LOT]) + start
            edges = self._edges(batch, lot)
            if self._former is not None:
                self._difference.dependencies.extend(_share(edges, self._former.find_dependency))
            ends = np.stack((batch.sources[lot], batch.targets[lot]), axis=1)
            self._builder.add_dependencies(edges, ends, batch.flags[lot], batch.confidences[lot])
            await turns.next()
        self._builder.add_waiting(
            [self._waiting(batch, place) for place in np.flatnonzero(~is_edge).tolist()]
        )
        self._settled()

    async def complete(self) -> DependencyGraph:
        """Finish the graph, and find out what is gone."""
        # Its kernels run without the interpreter's lock: in a thread they hold up nobody.
        await asyncio.to_thread(self._builder.build_index)
        graph, former, seen, turns = self._builder.graph(), self._former, self._difference, Turns()
        if former is not None:
            for lot in former.service_lots(LOT):
                gone = [record for record in lot if record.key not in graph.service_keys]
                seen.removed_services.update((cast("bytes", record.key), record) for record in gone)
                await turns.next()
            for edges in former.dependency_lots(LOT):
                lost = [record for record in edges if record.key not in graph.dependency_keys]
                seen.removed_dependencies.update((cast("bytes", record.key), record) for record in lost)
                await turns.next()
        return graph

    async def difference(self) -> Difference:
        """Return what watchers see of it, once it is complete; nothing for the first load, before which nobody watches."""
        return self._difference

    def _edges(self, batch: DependencyBatch, lot: NDArray[np.intp]) -> list[DependencyRecord]:
        if self._ends is None:
            self._ends = np.fromiter(self._keys, object, len(self._keys))
        places = lot.tolist()
        columns = (
            map(batch.keys.__getitem__, places),
            self._ends[batch.sources[lot]].tolist(),
            self._ends[batch.targets[lot]].tolist(),
            batch.flags[lot].tolist(),
            [_CERTAIN if number == _CERTAIN else number for number in batch.confidences[lot].tolist()],
            map(batch.records.__getitem__, places),
        )
        return list(map(DependencyRecord._make, zip(*columns, strict=True)))

    def _waiting(self, batch: DependencyBatch, place: int) -> DependencyRecord:
        """Return the record of a row that can't be an edge, as it would come by its key."""
        row = batch.strays.get(place)
        if row is not None:
            return dependency_record(self._records, row, None, None)
        # A service that depends on itself.
        service = self._keys[int(batch.sources[place])]
        record = DependencyRecord(
            batch.keys[place], service, service, int(batch.flags[place]), float(batch.confidences[place])
        )
        return record._replace(payload=self._records.renamed(batch.records[place], "", ""))


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
