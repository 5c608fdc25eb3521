"""Rows, steps and batches for watchers of a replica that no database feeds."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from depgraph.v1 import types_pb2
from server.domain.changes import FeedPosition, RowBatch, RowChanges, TableBatch
from server.domain.dependencies import DependencyRow
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent
from server.replica import Replica
from tests.support.batches import dependency_batch, service_batch
from tests.support.following import (
    dependency_message,
    dependency_of,
    joins,
    memory,
    service_message,
    service_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Batch = TypeVar("Batch", bound=RowBatch)
Row = TypeVar("Row", Service, DependencyRow)

FEED = "1:2:00000000-0000-0000-0000-000000000003"


def service(number: int, name: str | None = None, team: str | None = None) -> Service:
    """Make a service whose id is its number."""
    return Service(UUID(int=number), name or f"s{number}", "{}", "low", team, False, NOW, NOW)


def dependency(number: int, source: int, target: int, timeout_ms: int | None = None) -> DependencyRow:
    """Make a dependency whose id is its number, between services by their numbers."""
    return DependencyRow(
        UUID(int=number),
        UUID(int=source),
        UUID(int=target),
        "sync",
        "hard",
        None,
        timeout_ms,
        None,
        "manual",
        1.0,
        NOW,
        False,
        NOW,
        NOW,
    )


def changes(*upserted: Service | DependencyRow, gone: tuple[int, ...] = ()) -> RowChanges:
    """Make a step; what is ``gone`` may be service or dependency, as their numbers differ."""
    wanted = RowChanges(dict.fromkeys(map(_key, gone)), dict.fromkeys(map(_key, gone)))
    for row in upserted:
        if isinstance(row, Service):
            wanted.services[row.id] = row
        else:
            wanted.dependencies[row.id] = row
    return wanted


def position(number: int, feed_id: str = FEED) -> FeedPosition:
    """Stand at the snapshot before which so many transactions are finished."""
    return FeedPosition(feed_id, Snapshot.parse(f"{number}:{number}:"))


async def step(replica: Replica, changed: RowChanges) -> None:
    """Apply a step."""
    replica.snapshot_begins()
    await replica.apply(as_batches(changed), _next(replica))


async def reload(replica: Replica, *rows: Service | DependencyRow, page: int = 2) -> None:
    """Read everything anew, page by page."""
    services = [row for row in rows if isinstance(row, Service)]
    batches: list[TableBatch] = [service_batch(part) for part in _pages(services, page)]
    names = [row.service_id for row in services]
    places = {row.id.bytes: place for place, row in enumerate(services)}
    dependencies = [row for row in rows if isinstance(row, DependencyRow)]
    batches += [dependency_batch(part, names, places) for part in _pages(dependencies, page)]
    replica.snapshot_begins()
    await replica.load(as_batches(*batches), _next(replica))


async def as_batches(*batches: Batch) -> AsyncIterator[Batch]:
    """Yield batches as the feed does."""
    for batch in batches:
        yield batch


def _pages(rows: list[Row], size: int) -> Iterator[list[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@dataclass(slots=True)
class RowMirror:
    """
    The graph as a watcher of batches knows it; a batch that contradicts what it knows fails.

    So does one that repeats anything, while ``strict``: what comes out of the log may.
    """

    services: dict[UUID, types_pb2.Service] = field(default_factory=dict)
    dependencies: dict[UUID, types_pb2.Dependency] = field(default_factory=dict)
    strict: bool = field(default=True, compare=False)

    def fold(self, batch: WatchBatch) -> None:
        """Take in a batch."""
        if batch.event is WatchEvent.RESET:
            self.services.clear()
            self.dependencies.clear()
        for key, gone in batch.removed_services.items():
            former = self.services.pop(UUID(bytes=key), None)
            assert gone is None or former == service_of(gone)
        for record in batch.services:
            service_now = service_of(record)
            key_now = UUID(service_now.id)
            assert self.strict <= (self.services.get(key_now) != service_now)
            self.services[key_now] = service_now
        for key, lost in batch.removed_dependencies.items():
            known = self.dependencies.pop(UUID(bytes=key), None)
            assert lost is None or known == dependency_of(lost)
        for edge in batch.dependencies:
            now = dependency_of(edge)
            assert self.strict <= (self.dependencies.get(UUID(now.id)) != now)
            self.dependencies[UUID(now.id)] = now


def shown(rows: Iterable[Service | DependencyRow]) -> RowMirror:
    """Return what a watcher should know of these rows, by the generated code."""
    services = {row.id: row for row in rows if isinstance(row, Service)}
    dependencies = [row for row in rows if isinstance(row, DependencyRow)]
    names = {key: row.service_id for key, row in services.items()}
    return RowMirror(
        {key: service_message(row) for key, row in services.items()},
        {
            row.id: dependency_message(row, names[row.source], names[row.target])
            for row in dependencies
            if joins(row, names)
        },
    )


def visible(replica: Replica) -> RowMirror:
    """Return what a watcher of this replica should know now, from the graph alone."""
    services, dependencies, _ = memory(replica)
    edges = {UUID(bytes=key) for key in replica.graph.dependency_keys if isinstance(key, bytes)}
    return RowMirror(services, {key: row for key, row in dependencies.items() if key in edges})


def _key(number: int) -> UUID:
    return UUID(int=number)


def _next(replica: Replica) -> FeedPosition:
    return position(replica.position.snapshot.xmax + 1 if replica.position else 10)
