"""What watchers see of a move of the graph: memory before, compared with memory afterwards."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast
from uuid import UUID

from graphcore import DependencyGraph, DependencyRecord
from server.domain.changes import RowChanges
from server.domain.consistency import Freshness
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent


class _Seen(NamedTuple):
    """A dependency as watchers see it: another name of an end makes it another."""

    row: DependencyRow
    source: str
    target: str


class StepComparison:
    """
    The visible part of one step; make it before the graph moves.

    O(changed rows + degrees of services that come, go or change their names).
    """

    def __init__(self, graph: DependencyGraph, changes: RowChanges) -> None:
        self._graph = graph
        self._services = {key: _service(graph, key) for key in changes.services}
        self._dependencies = {key: _seen(graph, key) for key in changes.dependencies}
        self._see(key for key, row in changes.services.items() if _is_renamed(self._services[key], row))

    def batch(self, freshness: Freshness) -> WatchBatch | None:
        """Compare with the graph after the move; None when watchers see no difference."""
        graph, before = self._graph, self._dependencies
        services = {key: _service(graph, key) for key in self._services}
        for key, row in services.items():
            if _is_renamed(self._services[key], row):
                for record in graph.dependencies_of(key):
                    # One that was not looked at before waited for this service, so nobody saw it.
                    before.setdefault(cast("UUID", record.key), None)
        after = {key: _seen(graph, key) for key in before}
        upserted = [seen for key, seen in after.items() if seen is not None and seen != before[key]]
        gone = {key: seen for key, seen in before.items() if seen is not None and after[key] is None}
        batch = WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=[row for key, row in services.items() if row is not None and row != self._services[key]],
            dependencies=[seen.row for seen in upserted],
            names=_names(upserted),
            removed_services={
                key: former for key, former in self._services.items() if former and services[key] is None
            },
            removed_dependencies={key: seen.row for key, seen in gone.items()},
            former_names=_names(gone.values()),
        )
        return batch if batch.row_count else None

    def _see(self, services: Iterable[UUID]) -> None:
        for key in services:
            for record in self._graph.dependencies_of(key):
                dependency = cast("UUID", record.key)
                self._dependencies[dependency] = _seen(self._graph, dependency)


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
        rows = (cast("Service", record.payload) for record in self._former.services())
        return {row.id: row for row in rows if loaded.find_service(row.id) is None}

    def _gone_dependencies(self, loaded: DependencyGraph) -> dict[UUID, DependencyRow | None]:
        if self._kept_dependencies == self._former.dependency_count:
            return {}
        rows = _rows(self._former.dependencies())
        return {row.id: row for row in rows if loaded.find_dependency(row.id) is None}


def whole_graph(graph: DependencyGraph, freshness: Freshness) -> WatchBatch:
    """Return all that watchers see, as it is now. O(V + E), but quick: nothing is copied but references."""
    return WatchBatch(
        WatchEvent.RESET,
        freshness,
        services=[cast("Service", record.payload) for record in graph.services()],
        dependencies=_rows(graph.dependencies()),
        names=service_names(graph),
    )


def service_names(graph: DependencyGraph) -> dict[UUID, str]:
    """Return what every service is called now. O(V)."""
    return {cast("UUID", record.key): record.name for record in graph.services()}


def _rows(records: Iterable[DependencyRecord]) -> list[DependencyRow]:
    return [cast("DependencyRow", record.payload) for record in records]


def _service(graph: DependencyGraph, key: UUID) -> Service | None:
    record = graph.find_service(key)
    return None if record is None else cast("Service", record.payload)


def _seen(graph: DependencyGraph, key: UUID) -> _Seen | None:
    record = graph.find_dependency(key)
    if record is None:
        return None
    source, target = graph.service_by_key(record.source), graph.service_by_key(record.target)
    return _Seen(cast("DependencyRow", record.payload), source.name, target.name)


def _is_renamed(former: Service | None, row: Service | None) -> bool:
    """Whether dependencies of the service look different for its sake: it came, went, or has another name."""
    return (former and former.service_id) != (row and row.service_id)


def _names(dependencies: Iterable[_Seen]) -> dict[UUID, str]:
    names: dict[UUID, str] = {}
    for seen in dependencies:
        names[seen.row.source] = seen.source
        names[seen.row.target] = seen.target
    return names
