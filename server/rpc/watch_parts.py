"""Batches of changes, cut into messages of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from depgraph.v1.graph_service_pb2 import RemovedDependency, RemovedService, WatchResponse
from depgraph.v1.types_pb2 import Dependency
from depgraph.v1.types_pb2 import Service as ServiceMessage
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent
from server.rpc import encode, enums

Row: TypeAlias = ServiceMessage | RemovedService | Dependency | RemovedDependency

_ROWS_A_BREATH = 256
# Field tag and length before a row; a row of 2 MiB or more is a part of its own anyway.
_FIELD_HEADER = 4


class WatchParts:
    """Batches as messages; changes are encoded once, however many watch."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoded: WeakKeyDictionary[WatchBatch, asyncio.Task[list[WatchResponse]]] = WeakKeyDictionary()

    async def of(self, batch: WatchBatch) -> AsyncIterator[WatchResponse]:
        """Encode a batch, or take it as it was encoded for another watcher."""
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

    async def _all(self, batch: WatchBatch) -> list[WatchResponse]:
        return [part async for part in encoded_parts(batch, self._max_bytes)]


async def encoded_parts(batch: WatchBatch, max_bytes: int) -> AsyncIterator[WatchResponse]:
    """
    Encode a batch in parts of at most ``max_bytes``, but for a single row larger than that, which comes alone.

    Lets others run every few milliseconds.
    """
    event = enums.WATCH_EVENT.number[batch.event.value]
    freshness = encode.freshness(batch.freshness)
    room = whole_room = max_bytes - freshness.ByteSize() - 2 * _FIELD_HEADER
    part = WatchResponse(event=event)
    for number, row in enumerate(_rows(batch), start=1):
        size = row.ByteSize() + _FIELD_HEADER
        if size > room and room < whole_room:
            part.more = True
            yield part
            part, room = WatchResponse(event=event), whole_room
        _add(part, row)
        room -= size
        if number % _ROWS_A_BREATH == 0:
            await asyncio.sleep(0)
    part.freshness.CopyFrom(freshness)
    yield part


def _rows(batch: WatchBatch) -> Iterator[Row]:
    for service in batch.services:
        yield encode.service(service)
    for key, gone in batch.removed_services.items():
        yield _removed_service(key, gone)
    for row in batch.dependencies:
        yield encode.named_dependency(batch.names[row.source], batch.names[row.target], row)
    for key, lost in batch.removed_dependencies.items():
        yield _removed_dependency(batch, key, lost)


def _add(part: WatchResponse, row: Row) -> None:
    match row:
        case ServiceMessage():
            part.upserted_services.append(row)
        case RemovedService():
            part.removed_services.append(row)
        case Dependency():
            part.upserted_dependencies.append(row)
        case RemovedDependency():
            part.removed_dependencies.append(row)


def _removed_service(key: UUID, row: Service | None) -> RemovedService:
    return RemovedService(id=str(key), service_id=row.service_id if row else "")


def _removed_dependency(batch: WatchBatch, key: UUID, row: DependencyRow | None) -> RemovedDependency:
    if row is None:
        return RemovedDependency(id=str(key))
    return RemovedDependency(
        id=str(key),
        source_service_id=batch.former_names[row.source],
        target_service_id=batch.former_names[row.target],
        discovery_source=enums.DISCOVERY_SOURCE.number[row.discovery_source],
    )
