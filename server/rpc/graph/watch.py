"""Batches of changes, joined from records and cut into messages of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from depgraph.v1.graph_service_pb2 import RemovedDependency, RemovedService
from graphcore import DependencyRecord, ServiceRecord
from server import wire
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.watching import WatchBatch, WatchEvent
from server.rpc.answer_fields import (
    WATCH_FRESHNESS,
    WATCH_MORE,
    WATCH_REMOVED_DEPENDENCY,
    WATCH_REMOVED_SERVICE,
    WATCH_SERVICE,
    freshness_message,
    watch_event_field,
)
from server.wire.fields import field

if TYPE_CHECKING:
    from depgraph.v1.types_pb2 import DiscoverySource


class WatchParts:
    """Batches as the bytes of messages; changes are joined once, however many watch."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoded: WeakKeyDictionary[WatchBatch, asyncio.Task[list[bytes]]] = WeakKeyDictionary()

    async def of(self, batch: WatchBatch) -> AsyncIterator[bytes]:
        """Join a batch, or take it as it was joined for another watcher."""
        if batch.event is WatchEvent.RESET:
            # One watcher's own, and too large to be held as messages while it is sent.
            async for part in encoded_parts(batch, self._max_bytes):
                yield part
            return
        if batch not in self._encoded:
            self._encoded[batch] = asyncio.create_task(self._all(batch))
        # Should this watcher go, the others still wait for the same task.
        for part in await asyncio.shield(self._encoded[batch]):
            yield part

    async def _all(self, batch: WatchBatch) -> list[bytes]:
        return [part async for part in encoded_parts(batch, self._max_bytes)]


async def encoded_parts(batch: WatchBatch, max_bytes: int) -> AsyncIterator[bytes]:
    """
    Join a batch to ``WatchResponse`` messages of at most ``max_bytes``, but for a single row larger than that, which comes alone.

    Lets others run every half a millisecond.
    """
    event, freshness = (
        watch_event_field(batch.event),
        field(WATCH_FRESHNESS, freshness_message(batch.freshness)),
    )
    whole_room = room = max_bytes - len(event) - max(len(freshness), len(WATCH_MORE))
    part, yielding = [event], CooperativeYield()
    for row in _rows(batch):
        if len(row) > room and room < whole_room:
            yield b"".join((*part, WATCH_MORE))
            part, room = [event], whole_room
        part.append(row)
        room -= len(row)
        await yielding.checkpoint()
    yield b"".join((*part, freshness))


def _rows(batch: WatchBatch) -> Iterator[bytes]:
    """Write each row as a field of ``WatchResponse``. Upserted ones are records, and those of dependencies have its tag already."""
    for service in batch.services:
        yield WATCH_SERVICE + cast("bytes", service.payload)[1:]
    for key, gone in batch.removed_services.items():
        yield field(WATCH_REMOVED_SERVICE, _removed_service(key, gone).SerializeToString())
    for dependency in batch.dependencies:
        yield cast("bytes", dependency.payload)
    for key, lost in batch.removed_dependencies.items():
        yield field(WATCH_REMOVED_DEPENDENCY, _removed_dependency(key, lost).SerializeToString())


def _removed_service(key: bytes, former: ServiceRecord | None) -> RemovedService:
    return RemovedService(id=str(UUID(bytes=key)), service_id=former.name if former else "")


def _removed_dependency(key: bytes, former: DependencyRecord | None) -> RemovedDependency:
    if former is None:
        return RemovedDependency(id=str(UUID(bytes=key)))
    source, target, discovery_source = wire.dependency_ends(cast("bytes", former.payload))
    return RemovedDependency(
        id=str(UUID(bytes=key)),
        source_service_id=source,
        target_service_id=target,
        discovery_source=cast("DiscoverySource.ValueType", discovery_source),
    )
