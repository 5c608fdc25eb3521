"""Rows, steps and batches for watchers of a replica that no database feeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from server.domain.changes import FeedPosition, RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent
from server.replica import Replica

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FEED = "1:2:00000000-0000-0000-0000-000000000003"


class SeenDependency(NamedTuple):
    """A dependency as a watcher sees it."""

    row: DependencyRow
    source: str
    target: str


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


def step(replica: Replica, moved: RowChanges) -> None:
    """Apply a step."""
    replica.apply(moved, _next(replica), replica.reading_begins())


def reload(replica: Replica, *rows: Service | DependencyRow, page: int = 2) -> None:
    """Read everything anew, page by page."""
    ticket, load = replica.reading_begins(), replica.loading_begins()
    services = [row for row in rows if isinstance(row, Service)]
    dependencies = [row for row in rows if isinstance(row, DependencyRow)]
    for start in range(0, len(services), page):
        load.add_services(services[start : start + page])
    for start in range(0, len(dependencies), page):
        load.add_dependencies(dependencies[start : start + page])
    replica.swap(load, _next(replica), ticket)


@dataclass(slots=True)
class RowMirror:
    """
    The graph as a watcher of batches knows it; a batch that contradicts what it knows fails.

    So does one that repeats anything, while ``strict``: what comes out of the log may.
    """

    services: dict[UUID, Service] = field(default_factory=dict)
    dependencies: dict[UUID, SeenDependency] = field(default_factory=dict)
    strict: bool = field(default=True, compare=False)

    def fold(self, batch: WatchBatch) -> None:
        """Take in a batch."""
        if batch.event is WatchEvent.RESET:
            self.services.clear()
            self.dependencies.clear()
        for key, row in batch.removed_services.items():
            former = self.services.pop(key, None)
            assert row is None or former == row
        for service_row in batch.services:
            assert self.strict <= (self.services.get(service_row.id) != service_row)
            self.services[service_row.id] = service_row
        for key, lost in batch.removed_dependencies.items():
            known = self.dependencies.pop(key, None)
            assert lost is None or known == seen(lost, batch.former_names)
        for row_now in batch.dependencies:
            now = seen(row_now, batch.names)
            assert self.strict <= (self.dependencies.get(row_now.id) != now)
            self.dependencies[row_now.id] = now


def seen(row: DependencyRow, names: Mapping[UUID, str]) -> SeenDependency:
    """Name the ends of a dependency."""
    return SeenDependency(row, names[row.source], names[row.target])


def visible(replica: Replica) -> RowMirror:
    """Return what a watcher of this replica should know now, read from the graph's rows and nothing else."""
    held = replica.held()
    services = {row.id: row for row in held.services}
    names = {key: row.service_id for key, row in services.items()}
    return RowMirror(
        services,
        {
            row.id: seen(row, names)
            for row in held.dependencies
            if row.source in names and row.target in names and row.source != row.target
        },
    )


def _key(number: int) -> UUID:
    return UUID(int=number)


def _next(replica: Replica) -> FeedPosition:
    return position(replica.position.snapshot.xmax + 1 if replica.position else 10)
