"""What watchers see of a move of the graph: memory before, compared with memory afterwards."""

from collections.abc import Hashable, Iterable, KeysView, Sequence
from typing import cast
from uuid import UUID

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.domain.changes import RowChanges
from server.domain.consistency import Freshness
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent


class StepComparison:
    """
    The visible part of one step; make it before the graph moves.

    O(changed rows + degrees of services that come, go or change their names).
    """

    def __init__(self, graph: DependencyGraph, changes: RowChanges) -> None:
        self._graph = graph
        self._services = {key: _service(graph, key) for key in changes.services}
        # Whose dependencies look different although their rows may be the same.
        self._reshaped = {
            key for key, row in changes.services.items() if _name(row) != _name(self._services[key])
        }
        self._dependencies = {key: graph.find_dependency(key) for key in changes.dependencies}
        self._dependencies.update(
            (cast("UUID", record.key), record)
            for key in self._reshaped
            for record in graph.dependencies_of(key)
        )

    def batch(self, freshness: Freshness) -> WatchBatch | None:
        """Compare with the graph after the move; None when watchers see no difference."""
        services = {key: _service(self._graph, key) for key in self._services}
        upserted, removed = self._moved_dependencies()
        batch = WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=[row for key, row in services.items() if row is not None and row != self._services[key]],
            dependencies=upserted,
            names={end: self._graph.service_by_key(end).name for end in _ends(upserted)},
            removed_services={
                key: former for key, former in self._services.items() if former and services[key] is None
            },
            removed_dependencies={row.id: row for row in removed},
            former_names={end: self._former_name(end) for end in _ends(removed)},
        )
        return batch if batch.row_count else None

    def _moved_dependencies(self) -> tuple[list[DependencyRow], list[DependencyRow]]:
        """Return what was upserted and what was removed."""
        graph, reshaped = self._graph, self._reshaped
        # One that was not looked at before waited for a service that came, so nobody saw it.
        for key in reshaped:
            for record in graph.dependencies_of(key):
                self._dependencies.setdefault(cast("UUID", record.key), None)
        upserted: list[DependencyRow] = []
        removed: list[DependencyRow] = []
        for key, former in self._dependencies.items():
            present = graph.find_dependency(key)
            if present is None:
                if former is not None:
                    removed.append(cast("DependencyRow", former.payload))
            elif (
                former is None
                or former.payload != present.payload
                or present.source in reshaped
                or present.target in reshaped
            ):
                upserted.append(cast("DependencyRow", present.payload))
        return upserted, removed

    def _former_name(self, service: UUID) -> str:
        former = self._services.get(service)
        return former.service_id if former else self._graph.service_by_key(service).name


class LoadComparison:
    """
    The visible difference between the graph that answers and one that is being read as a whole.

    Rows are compared page by page as they are read, so that little is left to do at the moment of the swap: the feed alone moves
    the graph that answers, and it is busy reading.
    """

    def __init__(self, former: DependencyGraph) -> None:
        self._former = former
        self._version = former.version
        self._services: list[Service] = []
        self._dependencies: list[DependencyRow] = []
        self._renamed: set[UUID] = set()
        self._kept_services = self._kept_dependencies = 0

    def add_services(self, rows: Sequence[Service]) -> None:
        """Compare a page of services."""
        for row in rows:
            former = _service(self._former, row.id)
            self._kept_services += former is not None
            if former != row:
                self._services.append(row)
            if former is not None and former.service_id != row.service_id:
                self._renamed.add(row.id)

    def add_dependencies(self, rows: Sequence[DependencyRow], loaded: DependencyGraph) -> None:
        """Compare a page of dependencies that the loaded graph has taken in."""
        renamed = self._renamed
        for row in rows:
            if loaded.find_dependency(row.id) is None:
                continue
            record = self._former.find_dependency(row.id)
            self._kept_dependencies += record is not None
            if record is None or record.payload != row or row.source in renamed or row.target in renamed:
                self._dependencies.append(row)

    def batch(
        self, former: DependencyGraph, loaded: DependencyGraph, freshness: Freshness
    ) -> WatchBatch | None:
        """
        Return the difference; None when there is none.

        The whole graph (RESET) when ``former`` is not what was compared. O(V + E) if rows are gone, else O(changes + V).
        """
        if former is not self._former or former.version != self._version:
            return whole_graph(loaded, freshness)
        removed_dependencies = self._gone_dependencies(loaded)
        batch = WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=self._services,
            dependencies=self._dependencies,
            names=service_names(loaded) if self._dependencies else {},
            removed_services=self._gone_services(loaded),
            removed_dependencies=removed_dependencies,
            former_names=service_names(former) if removed_dependencies else {},
        )
        return batch if batch.row_count else None

    def _gone_services(self, loaded: DependencyGraph) -> dict[UUID, Service | None]:
        if self._kept_services == self._former.service_count:
            return {}
        return cast("dict[UUID, Service | None]", _gone(self._former.services(), loaded.service_keys))

    def _gone_dependencies(self, loaded: DependencyGraph) -> dict[UUID, DependencyRow | None]:
        if self._kept_dependencies == self._former.dependency_count:
            return {}
        gone = _gone(self._former.dependencies(), loaded.dependency_keys)
        return cast("dict[UUID, DependencyRow | None]", gone)


def whole_graph(graph: DependencyGraph, freshness: Freshness) -> WatchBatch:
    """Return all that watchers see, as it is now. O(V + E), but quick: nothing is copied but references."""
    return WatchBatch(
        WatchEvent.RESET,
        freshness,
        services=cast("list[Service]", [record.payload for record in graph.services()]),
        dependencies=cast("list[DependencyRow]", [record.payload for record in graph.dependencies()]),
        names=service_names(graph),
    )


def service_names(graph: DependencyGraph) -> dict[UUID, str]:
    """Return what every service is called now. O(V)."""
    return cast("dict[UUID, str]", {record.key: record.name for record in graph.services()})


def _service(graph: DependencyGraph, key: UUID) -> Service | None:
    record = graph.find_service(key)
    return None if record is None else cast("Service", record.payload)


def _name(row: Service | None) -> str | None:
    return row.service_id if row else None


def _ends(rows: Iterable[DependencyRow]) -> set[UUID]:
    return {end for row in rows for end in (row.source, row.target)}


def _gone(
    records: Iterable[ServiceRecord | DependencyRecord], present: KeysView[Hashable]
) -> dict[Hashable, object]:
    return {record.key: record.payload for record in records if record.key not in present}
