"""What became of rows that changed before anybody watched here."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import cast

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.domain.consistency import Freshness
from server.domain.watching import ChangedKeys, WatchBatch, WatchEvent

_LOT = 250


class Gathering:
    """
    Changed keys with their records as memory holds them, None = gone, looked up lot by lot while memory moves on.

    Made when memory stands at the snapshot up to which the keys will be told. What a lot finds may be overtaken before the last
    one is looked up: whoever overlays every batch that memory published since it was made, in order, ends with exactly the
    records of the last moment.
    """

    def __init__(self, graph: DependencyGraph) -> None:
        # Their rows may go before they are looked up, and no batch would say so.
        self._waiting = graph.waiting_dependencies()
        self._services: dict[bytes, ServiceRecord | None] = {}
        self._dependencies: dict[bytes, DependencyRecord | None] = {}

    def lots(self, keys: ChangedKeys) -> Iterator[ChangedKeys]:
        """Cut keys into lots that are looked up in a millisecond or less; services first. Drops what lost an end."""
        self._drop_waiting(set(keys.services) if self._waiting else set())
        for services in _slices(keys.services):
            yield ChangedKeys(services, ())
        for dependencies in _slices(keys.dependencies):
            yield ChangedKeys((), dependencies)

    def look_up(self, graph: DependencyGraph, lot: ChangedKeys) -> None:
        """Add the records of a lot. O(keys + degrees of services)."""
        for key in lot.services:
            self._services[key] = graph.find_service(key)
            # What it was called before is not known any more, so its dependencies are told with its name of today.
            for record in graph.dependencies_of(key):
                self._dependencies[cast("bytes", record.key)] = record
        for key in lot.dependencies:
            self._dependencies[key] = graph.find_dependency(key)

    def overlay(self, batch: WatchBatch) -> None:
        """Put what a later batch says over what was gathered."""
        self._services.update((cast("bytes", record.key), record) for record in batch.services)
        self._services.update(dict.fromkeys(batch.removed_services))
        self._dependencies.update((cast("bytes", record.key), record) for record in batch.dependencies)
        self._dependencies.update(dict.fromkeys(batch.removed_dependencies))

    def batch(self, freshness: Freshness) -> WatchBatch:
        """Return everything gathered as one batch; a heartbeat when that is nothing."""
        if not self._services and not self._dependencies:
            return WatchBatch(WatchEvent.HEARTBEAT, freshness)
        return WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=[record for record in self._services.values() if record is not None],
            dependencies=[record for record in self._dependencies.values() if record is not None],
            removed_services={key: None for key, record in self._services.items() if record is None},
            removed_dependencies={key: None for key, record in self._dependencies.items() if record is None},
        )

    def _drop_waiting(self, services: set[bytes]) -> None:
        """Drop dependencies that wait, unchanged, for one of these services: they were visible while it was there."""
        for record in self._waiting:
            if record.source in services or record.target in services:
                self._dependencies[cast("bytes", record.key)] = None


def _slices(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(keys)
    while some := list(islice(remaining, _LOT)):
        yield some
