"""Changed rows on their way into the graph: encoded and compared page by page, so that the move itself is short."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, TypeVar, cast
from uuid import UUID

import numpy as np

from graphcore import ChangeSet, DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.graph.flags import STALE
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.changes import RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.graph_events import GraphEvent, GraphEventKind
from server.domain.records import DependencyBatch, RecordFormat, ServiceBatch
from server.domain.services import Service
from server.replica.records import (
    BATCH_ROWS,
    Ends,
    can_be_edges,
    dependency_record,
    reencoded,
    service_lots,
    service_record,
)
from server.replica.subscriptions import GraphDiff

Find = Callable[[Hashable], ServiceRecord | None]


async def moves(
    graph: DependencyGraph,
    services: Mapping[bytes, ServiceRecord | None],
    dependencies: Mapping[bytes, DependencyRecord | None],
    service_afterwards: Find,
    least_confidence: float,
) -> list[GraphEvent]:
    """Compare records with those of the graph that they will replace. O(records), half a millisecond at a time."""
    yielding, found = CooperativeYield(), list[GraphEvent]()
    for key, service in services.items():
        found.extend(_of_service(graph.find_service(key), service))
        await yielding.checkpoint()
    for key, dependency in dependencies.items():
        before = _edge(graph.find_dependency(key), graph.find_service, least_confidence)
        after = _edge(dependency, service_afterwards, least_confidence)
        found.extend(_of_dependency(before, after))
        await yielding.checkpoint()
    return found


class _Edge(NamedTuple):
    """A dependency between services that are there; ``ends`` are their keys, ``names`` what they are called."""

    ends: tuple[Hashable, Hashable]
    names: tuple[str, str]
    is_stale: bool
    counts: bool


def _edge(record: DependencyRecord | None, find: Find, least_confidence: float) -> _Edge | None:
    """Look a dependency up; None = it is not there, or no edge."""
    if record is None or record.source == record.target:
        return None
    source, target = find(record.source), find(record.target)
    if source is None or target is None:
        return None
    is_stale = bool(record.flags & STALE)
    counts = not is_stale and record.confidence >= least_confidence
    return _Edge((record.source, record.target), (source.name, target.name), is_stale, counts)


def _of_service(before: ServiceRecord | None, after: ServiceRecord | None) -> Iterator[GraphEvent]:
    if before is not None and after is None:
        yield GraphEvent(GraphEventKind.SERVICE_REMOVED, before.name)
    elif before is not None and after is not None and before.name != after.name:
        yield GraphEvent(GraphEventKind.SERVICE_RENAMED, before.name, after.name)


def _of_dependency(before: _Edge | None, after: _Edge | None) -> Iterator[GraphEvent]:
    if before is None or after is None or before.ends != after.ends:
        if before is not None and before.counts:
            yield GraphEvent(GraphEventKind.REMOVED, *before.names)
        if after is not None and after.counts:
            yield GraphEvent(GraphEventKind.ADDED, *after.names)
    elif before.counts and not after.counts:
        yield GraphEvent(GraphEventKind.STALE if after.is_stale else GraphEventKind.DOUBTED, *before.names)
    elif after.counts and not before.counts:
        yield GraphEvent(GraphEventKind.REVIVED if before.is_stale else GraphEventKind.TRUSTED, *after.names)


Record = TypeVar("Record", ServiceRecord, DependencyRecord)


class Step:
    """
    What differs between a graph, which stands still meanwhile, and the rows that the next snapshot holds.

    ``made`` is told how many records were made. O(changed rows + degrees of services that come, go or change their names); lets others
    run every half a millisecond.
    """

    def __init__(self, graph: DependencyGraph, records: RecordFormat, made: Callable[[int], None]) -> None:
        self.graph = graph
        self._made = made
        self._records = records
        self._ends = Ends(records)
        self._services: dict[bytes, ServiceRecord | None] = {}
        self._dependencies: dict[bytes, DependencyRecord | None] = {}
        # Services that come, go or change their names: dependencies look different then, although their rows may be the same.
        self._reshaped: list[bytes] = []

    def __len__(self) -> int:
        """Nodes and edges that differ, as far as it is known yet."""
        return len(self._services) + len(self._dependencies)

    async def add(self, changes: RowChanges) -> None:
        """Take in a page of changes; all services before any dependency."""
        yielding = CooperativeYield()
        for key, service in changes.services.items():
            self._add_service(key, service)
            await yielding.checkpoint()
        for key, dependency in changes.dependencies.items():
            self._add_dependency(key, dependency)
            await yielding.checkpoint()
        self._made(len(changes.services) + len(changes.dependencies))

    async def add_services(self, batch: ServiceBatch) -> None:
        """Take in services, whether they have changed or not."""
        yielding = CooperativeYield()
        for services in service_lots(batch):
            for place, record in enumerate(services):
                former = self.graph.find_service(record.key)
                self._put_service(cast("bytes", record.key), former, record)
                # Its key is what the dependencies that stay have.
                services[place] = former or record
            self._ends.add(services)
            await yielding.checkpoint()

    async def add_dependencies(self, batch: DependencyBatch) -> None:
        """Take in dependencies after all services of the table."""
        yielding, fits = CooperativeYield(), can_be_edges(batch)
        for start in range(0, len(batch.keys), BATCH_ROWS):
            lot = np.flatnonzero(fits[start : start + BATCH_ROWS]) + start
            for record in self._ends.edges(batch, lot):
                self._put(cast("bytes", record.key), record)
            await yielding.checkpoint()
        for place in np.flatnonzero(~fits).tolist():
            self._put(batch.keys[place], self._ends.waiting(batch, place))
        self._made(len(batch.keys))

    async def complete(self) -> ChangeSet:
        """Add the dependencies that services which come, go or change their names make look different."""
        yielding = CooperativeYield()
        for service in self._reshaped:
            for record in self._told_by(service):
                key = cast("bytes", record.key)
                if key not in self._dependencies:
                    self._put(key, self._reencoded(record))
                    await yielding.checkpoint()
        services = await _divided(self._services)
        dependencies = await _divided(self._dependencies)
        return ChangeSet(*services, *dependencies)

    async def difference(self) -> GraphDiff:
        """Return what watchers see of it, once it is complete and before the graph moves."""
        yielding, seen = CooperativeYield(), GraphDiff()
        for key, service in self._services.items():
            if service is not None:
                seen.services.append(service)
            else:
                seen.removed_services[key] = self.graph.find_service(key)
            await yielding.checkpoint()
        for key, record in self._dependencies.items():
            if record is not None and self._joins(record):
                seen.dependencies.append(record)
            elif former := self.graph.find_dependency(key):
                seen.removed_dependencies[key] = former
            await yielding.checkpoint()
        return seen

    async def moves(self, least_confidence: float) -> list[GraphEvent]:
        """Return what it does to dependencies that count for cycles, once it is complete and before the graph moves."""
        return await moves(self.graph, self._services, self._dependencies, self._afterwards, least_confidence)

    def _add_service(self, id_: UUID, row: Service | None) -> None:
        key = id_.bytes
        record = None if row is None else service_record(self._records, row)
        self._put_service(key, self.graph.find_service(key), record)

    def _put_service(self, key: bytes, former: ServiceRecord | None, record: ServiceRecord | None) -> None:
        if record == former:
            return
        self._services[key] = record
        if record is None or former is None or record.name != former.name:
            self._reshaped.append(key)

    def _add_dependency(self, id_: UUID, row: DependencyRow | None) -> None:
        if row is None:
            self._dependencies[id_.bytes] = None
            return
        ends = self._end(row.source.bytes), self._end(row.target.bytes)
        self._put(id_.bytes, dependency_record(self._records, row, *ends))

    def _put(self, key: bytes, record: DependencyRecord) -> None:
        if record != self.graph.find_dependency(key):
            self._dependencies[key] = record

    def _told_by(self, service: bytes) -> Iterable[DependencyRecord]:
        return [*self.graph.dependencies_of(service), *self.graph.waiting_for(service)]

    def _reencoded(self, record: DependencyRecord) -> DependencyRecord:
        ends = self._end(cast("bytes", record.source)), self._end(cast("bytes", record.target))
        return reencoded(self._records, record, *ends)

    def _end(self, service: bytes) -> ServiceRecord | None:
        """Return the service as it will be."""
        if service in self._services:
            return self._services[service]
        return self.graph.find_service(service)

    def _afterwards(self, service: Hashable) -> ServiceRecord | None:
        return self._end(cast("bytes", service))

    def _joins(self, record: DependencyRecord) -> bool:
        source, target = cast("bytes", record.source), cast("bytes", record.target)
        return source != target and self._end(source) is not None and self._end(target) is not None


async def _divided(changes: dict[bytes, Record | None]) -> tuple[list[Record], list[bytes]]:
    """Tell records that come or stay from keys that go."""
    yielding, records, gone = CooperativeYield(), list[Record](), list[bytes]()
    remaining = iter(changes.items())
    while some := list(islice(remaining, BATCH_ROWS)):
        records += [record for _, record in some if record is not None]
        gone += [key for key, record in some if record is None]
        await yielding.checkpoint()
    return records, gone
