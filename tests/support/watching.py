"""A watcher that knows nothing but its stream, and what the tables hold in the same words."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Dependency, Service
from tests.support.following import tables

if TYPE_CHECKING:
    import asyncpg

PATIENCE_SECONDS = 30.0
RESET = pb.WATCH_EVENT_RESET
CHANGES = pb.WATCH_EVENT_CHANGES
HEARTBEAT = pb.WATCH_EVENT_HEARTBEAT

Stream = grpc.aio.UnaryStreamCall[pb.WatchRequest, pb.WatchResponse]
Rows = tuple[dict[str, Service], dict[str, Dependency]]


class BrokenPromiseError(AssertionError):
    """The stream said something that can't be true after what it had said before."""


@dataclass(slots=True)
class Mirror:
    """
    The graph as one watcher knows it, rebuilt from whole batches alone.

    ``strict`` once it knows the whole graph and missed nothing: removed rows must be known, and
    upserted ones must differ.
    """

    services: dict[str, Service] = field(default_factory=dict)
    dependencies: dict[str, Dependency] = field(default_factory=dict)
    revision: str = ""
    strict: bool = False
    batches: int = 0
    resets: int = 0

    @property
    def rows(self) -> Rows:
        """Everything that it knows."""
        return self.services, self.dependencies

    def fold(self, batch: pb.WatchResponse) -> None:
        """Take in one whole batch."""
        self.batches += 1
        if batch.event == RESET:
            self.resets += 1
            self.services.clear()
            self.dependencies.clear()
        elif batch.event == HEARTBEAT:
            assert not _rows_of(batch)
        else:
            assert _rows_of(batch), "changes without a change"
        self._fold_services(batch)
        self._fold_dependencies(batch)
        assert batch.freshness.revision
        self.revision = batch.freshness.revision
        self.strict = self.resets > 0

    def interrupted(self) -> None:
        """Say that the stream ended: the next batch comes from the log, which knows keys only."""
        self.strict = False

    def _fold_services(self, batch: pb.WatchResponse) -> None:
        for gone in batch.removed_services:
            former = self.services.pop(gone.id, None)
            self._must(former is not None and former.service_id == gone.service_id, gone)
        for service in batch.upserted_services:
            self._must(self.services.get(service.id) != service, service)
            self.services[service.id] = service
        # Names are unique in every snapshot.
        assert len({service.service_id for service in self.services.values()}) == len(self.services)

    def _fold_dependencies(self, batch: pb.WatchResponse) -> None:
        for gone in batch.removed_dependencies:
            former = self.dependencies.pop(gone.id, None)
            self._must(former is not None and _ends(former) == _ends(gone), gone)
        for dependency in batch.upserted_dependencies:
            self._must(self.dependencies.get(dependency.id) != dependency, dependency)
            self.dependencies[dependency.id] = dependency

    def _must(self, holds: bool, row: Any) -> None:
        if self.strict and not holds:
            raise BrokenPromiseError(f"{row} after {self.batches} batches")


def whole(parts: Iterable[pb.WatchResponse]) -> pb.WatchResponse:
    """Put the parts of a batch together."""
    batch = pb.WatchResponse()
    for part in parts:
        batch.MergeFrom(part)
    batch.more = False
    return batch


class Watcher:
    """One open stream, read batch by batch into a mirror."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        mirror: Mirror | None = None,
        *,
        revision: str = "",
        include_state: bool = False,
    ) -> None:
        self.mirror = mirror or Mirror()
        self.parts: list[pb.WatchResponse] = []
        request = pb.WatchRequest(revision=revision, include_state=include_state)
        self.stream: Stream = GraphServiceStub(channel).Watch(request)

    async def batch(self) -> pb.WatchResponse:
        """Read until a batch is whole, and fold it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self.parts or self.parts[-1].more:
                part = await self.stream.read()
                assert isinstance(part, pb.WatchResponse), "the stream ended"
                self.parts.append(part)
        batch = whole(self.parts)
        self.parts.clear()
        self.mirror.fold(batch)
        return batch

    async def changes(self) -> pb.WatchResponse:
        """Read on until a batch is no heartbeat."""
        while (batch := await self.batch()).event == HEARTBEAT:
            pass
        return batch

    def kill(self) -> None:
        """Go away without a word."""
        self.stream.cancel()
        self.mirror.interrupted()


async def expected(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    """Return the tables as watchers see them: dependencies with both ends, by names of ends."""
    services, dependencies, _ = await tables(connection)
    return (
        {str(key): service for key, service in services.items()},
        {str(key): dependency for key, dependency in dependencies.items() if dependency.source_service_id},
    )


def _rows_of(batch: pb.WatchResponse) -> int:
    return sum(
        len(rows)
        for rows in (
            batch.upserted_services,
            batch.removed_services,
            batch.upserted_dependencies,
            batch.removed_dependencies,
        )
    )


def _ends(dependency: Dependency | pb.RemovedDependency) -> tuple[str, str, int]:
    return dependency.source_service_id, dependency.target_service_id, dependency.discovery_source
