"""Watch: where it begins, and its batches as messages of bounded size, joined from records."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID
from weakref import WeakKeyDictionary

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyRecord, ServiceRecord
from server import wire
from server.domain.revision import Revision
from server.domain.watching import WatchBatch, WatchEvent
from server.rpc.answers import VARINT, freshness_message, joined_parts, tag
from server.rpc.questions import revision_of
from server.rpc.validate import Check
from server.wire.columns import EnumWords
from server.wire.fields import field, varint

if TYPE_CHECKING:
    from depgraph.v1.types_pb2 import DiscoverySource

_EVENT_WORDS: EnumWords[str, pb.WatchEvent.ValueType] = EnumWords(
    pb.WatchEvent, [event.value for event in WatchEvent]
)
_EVENT = tag(pb.WatchResponse, "event", VARINT)
_EVENTS = {event: _EVENT + varint(_EVENT_WORDS.number[event.value]) for event in WatchEvent}
_SERVICE = tag(pb.WatchResponse, "upserted_services")
_REMOVED_SERVICE = tag(pb.WatchResponse, "removed_services")
_REMOVED_DEPENDENCY = tag(pb.WatchResponse, "removed_dependencies")
_MORE = tag(pb.WatchResponse, "more", VARINT) + b"\x01"
_FRESHNESS = tag(pb.WatchResponse, "freshness")


def watched_since(request: pb.WatchRequest) -> Revision | None:
    """Read where a watch begins; None = now. Raises ``InvalidRevisionError``."""
    check = Check()
    since = revision_of(check, "revision", request.revision) if request.revision else None
    check.done()
    return since


class WatchedGraph(Protocol):
    """The graph in memory, for callers that want every change."""

    def watch(
        self, since: Revision | None, *, include_state: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """
        Watch while the context lasts; the batches never end, and the first comes at once.

        The first batch leads from ``since`` to now, or is a RESET where that is impossible. For
        None, and for the revision of a *write*, which names no snapshot, the stream begins now,
        with the whole graph if ``include_state``.

        Raises ``NotReadyError``, ``ReplicaBehindError`` and ``DatabaseUnavailableError`` at the
        start, and ``WatcherTooSlowError`` at any time, whatever the body awaits.
        """


class WatchParts:
    """Batches as the bytes of messages; changes are encoded once for all watchers."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoded: WeakKeyDictionary[WatchBatch, asyncio.Task[list[bytes]]] = WeakKeyDictionary()

    async def of(self, batch: WatchBatch) -> AsyncIterator[bytes]:
        """Encode a batch, or take the messages that another watcher got."""
        if batch.event is WatchEvent.RESET:
            # For one watcher only, and too large to keep as messages while they are sent.
            async for part in encoded_parts(batch, self._max_bytes):
                yield part
            return
        if batch not in self._encoded:
            self._encoded[batch] = asyncio.create_task(self._all(batch))
        # If this watcher leaves, others still wait for the same task.
        for part in await asyncio.shield(self._encoded[batch]):
            yield part

    async def _all(self, batch: WatchBatch) -> list[bytes]:
        return [part async for part in encoded_parts(batch, self._max_bytes)]


def encoded_parts(batch: WatchBatch, max_bytes: int) -> AsyncIterator[bytes]:
    """Encode a batch as messages of at most ``max_bytes``, in slices; a larger row comes alone."""
    event, freshness = _EVENTS[batch.event], field(_FRESHNESS, freshness_message(batch.freshness))
    return joined_parts(_rows(batch), max_bytes, each=event, more=_MORE, last=freshness)


def _rows(batch: WatchBatch) -> Iterator[bytes]:
    """Encode rows as fields. Records of dependencies have the right tag already."""
    for service in batch.services:
        yield _SERVICE + cast("bytes", service.payload)[1:]
    for key, gone in batch.removed_services.items():
        yield field(_REMOVED_SERVICE, _removed_service(key, gone).SerializeToString())
    for dependency in batch.dependencies:
        yield cast("bytes", dependency.payload)
    for key, lost in batch.removed_dependencies.items():
        yield field(_REMOVED_DEPENDENCY, _removed_dependency(key, lost).SerializeToString())


def _removed_service(key: bytes, former: ServiceRecord | None) -> pb.RemovedService:
    return pb.RemovedService(id=str(UUID(bytes=key)), service_id=former.name if former else "")


def _removed_dependency(key: bytes, former: DependencyRecord | None) -> pb.RemovedDependency:
    if former is None:
        return pb.RemovedDependency(id=str(UUID(bytes=key)))
    source, target, discovery_source = wire.dependency_ends(cast("bytes", former.payload))
    return pb.RemovedDependency(
        id=str(UUID(bytes=key)),
        source_service_id=source,
        target_service_id=target,
        discovery_source=cast("DiscoverySource.ValueType", discovery_source),
    )
