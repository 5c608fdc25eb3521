"""Encodes and compares changed rows batch by batch, before the graph itself moves."""

from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numpy as np

from graphcore import AliasRecord, ChangeSet, DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.graph.flags import STALE
from server.concurrency import CooperativeYield
from server.domain.changes import ReportedConfidences, RowBatch, RowChanges
from server.domain.detection import GraphEvent, GraphEventKind
from server.domain.records import AliasBatch, DependencyBatch, ServiceBatch, alias_record
from server.replica.records import (
    BATCH_ROWS,
    BatchDecoder,
    can_be_edges,
    edge_of,
    node_of,
    reencoded,
    service_records,
    with_confidence,
)
from server.replica.subscriptions import GraphDiff

if TYPE_CHECKING:
    from uuid import UUID

Find = Callable[[Hashable], ServiceRecord | None]
Record = TypeVar("Record", ServiceRecord, DependencyRecord, AliasRecord)


class Step:
    """
    What differs between a graph, which does not move meanwhile, and the rows of the next snapshot.

    ``made`` is called with the number of records made. O(changed rows + degrees of services that
    come, go or are renamed), in slices of half a millisecond.
    """

    def __init__(self, graph: DependencyGraph, made: Callable[[int], None]) -> None:
        self._graph = graph
        self._made = made
        self._decoder = BatchDecoder()
        self._services: dict[bytes, ServiceRecord | None] = {}
        self._dependencies: dict[bytes, DependencyRecord | None] = {}
        self._aliases: dict[bytes, AliasRecord | None] = {}
        self._confidences: dict[UUID, float] = {}
        # Services that come, go or change their names: the encoded records of their dependencies
        # change then, although the rows may not.
        self._reshaped: list[bytes] = []

    def __len__(self) -> int:
        """Nodes, edges and aliases that differ, as far as is known yet."""
        return len(self._services) + len(self._dependencies) + len(self._aliases)

    async def read(self, batches: AsyncIterator[RowBatch | ReportedConfidences]) -> ChangeSet:
        """Read all batches, services before dependencies; returns what to apply to the graph."""
        async for batch in batches:
            if isinstance(batch, RowChanges):
                await self._add_changes(batch)
            elif isinstance(batch, ReportedConfidences):
                self._confidences |= batch.by_id
            elif isinstance(batch, ServiceBatch):
                await self._add_services(batch)
            elif isinstance(batch, AliasBatch):
                for record in batch.records:
                    self._put_alias(cast("bytes", record.key), record)
            else:
                await self._add_dependencies(batch)
        await self._reencode_dependencies()
        await self._put_confidences()
        return ChangeSet(
            *await _separated(self._services),
            *await _separated(self._dependencies),
            *await _separated(self._aliases),
        )

    async def diff(self) -> GraphDiff:
        """Return what watchers see of it, after ``read`` and before the graph moves."""
        yielding, seen = CooperativeYield(), GraphDiff()
        for key, service in self._services.items():
            if service is not None:
                seen.services.append(service)
            else:
                seen.removed_services[key] = self._graph.find_service(key)
            await yielding.checkpoint()
        for key, record in self._dependencies.items():
            if record is not None and self._joins(record):
                seen.dependencies.append(record)
            elif former := self._graph.find_dependency(key):
                seen.removed_dependencies[key] = former
            await yielding.checkpoint()
        return seen

    async def events(self, least_confidence: float) -> list[GraphEvent]:
        """Return its ``graph_events``, after ``read`` and before the graph moves."""
        return await graph_events(
            self._graph, self._services, self._dependencies, self._service_after, least_confidence
        )

    async def _add_changes(self, changes: RowChanges) -> None:
        yielding = CooperativeYield()
        for id_, service in changes.services.items():
            record = None if service is None else node_of(service)
            self._put_service(id_.bytes, self._graph.find_service(id_.bytes), record)
            await yielding.checkpoint()
        for id_, dependency in changes.dependencies.items():
            if dependency is None:
                self._dependencies[id_.bytes] = None
            else:
                ends = dependency.source.bytes, dependency.target.bytes
                self._put_dependency(edge_of(dependency, *map(self._service_after, ends)))
            await yielding.checkpoint()
        for id_, alias in changes.aliases.items():
            self._put_alias(id_.bytes, None if alias is None else alias_record(alias))
            await yielding.checkpoint()
        self._made(len(changes.services) + len(changes.dependencies) + len(changes.aliases))

    async def _add_services(self, batch: ServiceBatch) -> None:
        yielding = CooperativeYield()
        for services in service_records(batch):
            for place, record in enumerate(services):
                former = self._graph.find_service(record.key)
                self._put_service(cast("bytes", record.key), former, record)
                # Dependencies share the key object of the record that stays.
                services[place] = former or record
            self._decoder.add(services)
            await yielding.checkpoint()

    async def _add_dependencies(self, batch: DependencyBatch) -> None:
        yielding, fits = CooperativeYield(), can_be_edges(batch)
        for start in range(0, len(batch.keys), BATCH_ROWS):
            places = np.flatnonzero(fits[start : start + BATCH_ROWS]) + start
            for record in self._decoder.edges(batch, places):
                self._put_dependency(record)
            await yielding.checkpoint()
        for place in np.flatnonzero(~fits).tolist():
            self._put_dependency(self._decoder.waiting(batch, place))
        self._made(len(batch.keys))

    async def _reencode_dependencies(self) -> None:
        """Add the dependencies that look different because a service comes, goes or is renamed."""
        yielding = CooperativeYield()
        for service in self._reshaped:
            for record in [
                *self._graph.dependencies_of(service),
                *self._graph.dangling_dependencies_of(service),
            ]:
                if record.key not in self._dependencies:
                    ends = self._service_after(record.source), self._service_after(record.target)
                    self._put_dependency(reencoded(record, *ends))
                    await yielding.checkpoint()

    async def _put_confidences(self) -> None:
        """Give dependencies the confidences that were read, under the names that they have now."""
        yielding = CooperativeYield()
        dangling = {record.key: record for record in self._graph.dangling_dependencies()}
        for id_, confidence in self._confidences.items():
            key = id_.bytes
            record = self._dependencies.get(key) or self._graph.find_dependency(key) or dangling.get(key)
            if record is not None and record.confidence != confidence:
                self._dependencies[key] = with_confidence(record, confidence)
            await yielding.checkpoint()

    def _put_service(self, key: bytes, former: ServiceRecord | None, record: ServiceRecord | None) -> None:
        if record == former:
            return
        self._services[key] = record
        if record is None or former is None or record.name != former.name:
            self._reshaped.append(key)

    def _put_dependency(self, record: DependencyRecord) -> None:
        if record != self._graph.find_dependency(record.key):
            self._dependencies[cast("bytes", record.key)] = record

    def _put_alias(self, key: bytes, record: AliasRecord | None) -> None:
        if record != self._graph.find_alias(key):
            self._aliases[key] = record

    def _service_after(self, key: Hashable) -> ServiceRecord | None:
        """Return the service as it will be."""
        if key in self._services:
            return self._services[key]
        return self._graph.find_service(key)

    def _joins(self, record: DependencyRecord) -> bool:
        if record.source == record.target:
            return False
        return None not in (self._service_after(record.source), self._service_after(record.target))


async def _separated(changes: Mapping[bytes, Record | None]) -> tuple[list[Record], list[bytes]]:
    """Separate records to put from keys to remove."""
    yielding, records, gone = CooperativeYield(), list[Record](), list[bytes]()
    remaining = iter(changes.items())
    while some := list(islice(remaining, BATCH_ROWS)):
        records += [record for _, record in some if record is not None]
        gone += [key for key, record in some if record is None]
        await yielding.checkpoint()
    return records, gone


async def graph_events(
    graph: DependencyGraph,
    services: Mapping[bytes, ServiceRecord | None],
    dependencies: Mapping[bytes, DependencyRecord | None],
    service_after: Find,
    least_confidence: float,
) -> list[GraphEvent]:
    """
    Find what changed records mean for cycles, before they replace those of the graph.

    ``service_after`` finds a service as it will be. A dependency counts if it is fresh and has at
    least ``least_confidence``. O(records), in slices of half a millisecond.
    """
    yielding, found = CooperativeYield(), list[GraphEvent]()
    for key, service in services.items():
        found.extend(_service_events(graph.find_service(key), service))
        await yielding.checkpoint()
    for key, dependency in dependencies.items():
        before = _edge(graph.find_dependency(key), graph.find_service, least_confidence)
        after = _edge(dependency, service_after, least_confidence)
        found.extend(_edge_events(before, after))
        await yielding.checkpoint()
    return found


class _Edge(NamedTuple):
    """A dependency between two services that exist: ``ends`` are their keys."""

    ends: tuple[Hashable, Hashable]
    names: tuple[str, str]
    is_stale: bool
    counts: bool


def _edge(record: DependencyRecord | None, find: Find, least_confidence: float) -> _Edge | None:
    """Return the edge of a dependency; None = it doesn't exist or can't be an edge."""
    if record is None or record.source == record.target:
        return None
    source, target = find(record.source), find(record.target)
    if source is None or target is None:
        return None
    is_stale = bool(record.flags & STALE)
    counts = not is_stale and record.confidence >= least_confidence
    return _Edge((record.source, record.target), (source.name, target.name), is_stale, counts)


def _service_events(before: ServiceRecord | None, after: ServiceRecord | None) -> Iterable[GraphEvent]:
    if before is not None and after is None:
        return [GraphEvent(GraphEventKind.SERVICE_REMOVED, before.name)]
    if before is not None and after is not None and before.name != after.name:
        return [GraphEvent(GraphEventKind.SERVICE_RENAMED, before.name, after.name)]
    return []


def _edge_events(before: _Edge | None, after: _Edge | None) -> Iterator[GraphEvent]:
    if before is None or after is None or before.ends != after.ends:
        if before is not None and before.counts:
            yield GraphEvent(GraphEventKind.REMOVED, *before.names)
        if after is not None and after.counts:
            yield GraphEvent(GraphEventKind.ADDED, *after.names)
    elif before.counts and not after.counts:
        kind = GraphEventKind.STALE if after.is_stale else GraphEventKind.DOUBTED
        yield GraphEvent(kind, *before.names)
    elif after.counts and not before.counts:
        kind = GraphEventKind.REVIVED if before.is_stale else GraphEventKind.TRUSTED
        yield GraphEvent(kind, *after.names)
