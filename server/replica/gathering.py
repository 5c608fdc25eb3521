"""What became of rows that changed before anybody watched here."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING, cast
from uuid import UUID

from graphcore import DependencyGraph, DependencyRecord
from server.domain.consistency import Freshness
from server.domain.watching import ChangedKeys, WatchBatch, WatchEvent

if TYPE_CHECKING:
    from server.domain.dependencies import DependencyRow
    from server.domain.services import Service

_LOT = 1_000


class Gathering:
    """
    Changed keys with their rows as memory holds them, None = gone, looked up lot by lot while memory moves on.

    Made when memory stands at the snapshot up to which the keys will be told. What a lot finds may be overtaken before the last
    one is looked up: whoever overlays every batch that memory published since it was made, in order, ends with exactly the
    rows of the last moment.
    """

    def __init__(self, graph: DependencyGraph) -> None:
        # Their rows may go before they are looked up, and no batch would say so.
        self._waiting = graph.waiting_dependencies()
        self._services: dict[UUID, Service | None] = {}
        self._dependencies: dict[UUID, DependencyRow | None] = {}
        self._names: dict[UUID, str] = {}

    def lots(self, keys: ChangedKeys) -> Iterator[ChangedKeys]:
        """Cut keys into lots that are looked up in a millisecond or two each; services first. Drops what lost an end."""
        self._drop_waiting(set(keys.services) if self._waiting else set())
        for services in _slices(keys.services):
            yield ChangedKeys(services, ())
        for dependencies in _slices(keys.dependencies):
            yield ChangedKeys((), dependencies)

    def look_up(self, graph: DependencyGraph, lot: ChangedKeys) -> None:
        """Add the rows of a lot. O(keys + degrees of services)."""
        for key in lot.services:
            record = graph.find_service(key)
            self._services[key] = None if record is None else cast("Service", record.payload)
            # What it was called before is not known any more, so its dependencies are told with its name of today.
            for dependency in graph.dependencies_of(key):
                self._take(graph, dependency)
        for key in lot.dependencies:
            found = graph.find_dependency(key)
            if found is None:
                self._dependencies[key] = None
            else:
                self._take(graph, found)

    def overlay(self, batch: WatchBatch) -> None:
        """Put what a later batch says over what was gathered."""
        self._services.update((row.id, row) for row in batch.services)
        self._services.update(dict.fromkeys(batch.removed_services))
        self._dependencies.update((row.id, row) for row in batch.dependencies)
        self._dependencies.update(dict.fromkeys(batch.removed_dependencies))
        self._names.update(batch.names)

    def batch(self, freshness: Freshness) -> WatchBatch:
        """Return everything gathered as one batch; a heartbeat when that is nothing."""
        if not self._services and not self._dependencies:
            return WatchBatch(WatchEvent.HEARTBEAT, freshness)
        return WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=[row for row in self._services.values() if row is not None],
            dependencies=[row for row in self._dependencies.values() if row is not None],
            names=self._names,
            removed_services={key: None for key, row in self._services.items() if row is None},
            removed_dependencies={key: None for key, row in self._dependencies.items() if row is None},
        )

    def _take(self, graph: DependencyGraph, record: DependencyRecord) -> None:
        row = cast("DependencyRow", record.payload)
        self._dependencies[row.id] = row
        self._names[row.source] = graph.service_by_key(row.source).name
        self._names[row.target] = graph.service_by_key(row.target).name

    def _drop_waiting(self, services: set[UUID]) -> None:
        """Drop dependencies that wait, unchanged, for one of these services: they were visible while it was there."""
        for record in self._waiting:
            if record.source in services or record.target in services:
                self._dependencies[cast("UUID", record.key)] = None


def _slices(keys: Collection[UUID]) -> Iterator[list[UUID]]:
    remaining = iter(keys)
    while some := list(islice(remaining, _LOT)):
        yield some
