"""The dependency graph in memory: a pure function of the rows it was given, however they came."""

from collections.abc import Callable, Hashable, Iterable, KeysView, Sequence
from itertools import chain
from typing import Self, TypeVar, cast

import rustworkx as rx

from graphcore.changes import ChangeSet, DependencyRecord, ServiceRecord
from graphcore.errors import DuplicateNameError, UnknownServiceError
from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies

T = TypeVar("T")


class DependencyGraph:
    """
    Services and the dependencies between them, changed only by ``apply``.

    Whatever the order and grouping of changes, the content equals that of a graph built from the final rows; only
    the order of a service's edges, and with it the order of services of one depth, depends on the way here.

    A dependency whose two services are not both present *waits*: it is counted and listed, but no edge, and joins as
    soon as the missing service appears. So does, for good, a dependency of a service on itself.

    Not thread-safe: change and read it from one thread. Records are immutable, so answers taken from the graph stay
    what they were while it moves on.
    """

    __slots__ = ("_derived", "_topology", "_version", "_waiting")

    def __init__(self) -> None:
        self._topology = Topology()
        self._waiting = WaitingDependencies()
        self._derived: dict[object, object] = {}
        self._version = 0

    @classmethod
    def from_records(
        cls,
        services: Sequence[ServiceRecord],
        dependencies: Sequence[DependencyRecord] = (),
    ) -> Self:
        """Build a graph of these rows; raises ``DuplicateNameError``. O(V + E)."""
        graph = cls()
        graph.apply(ChangeSet(upserted_services=services, upserted_dependencies=dependencies))
        return graph

    @property
    def version(self) -> int:
        """Number of change sets so far that changed anything."""
        return self._version

    @property
    def service_count(self) -> int:
        """Number of services."""
        return len(self._topology.node_by_service)

    @property
    def dependency_count(self) -> int:
        """Number of dependencies that are edges, parallel and stale ones each; those waiting are not among them."""
        return len(self._topology.edge_by_dependency)

    @property
    def stale_count(self) -> int:
        """Number of dependencies that are edges and stale."""
        return self._topology.stale_count

    @property
    def waiting_count(self) -> int:
        """Number of dependencies that wait for a service."""
        return len(self._waiting)

    @property
    def digraph(self) -> rx.PyDiGraph[ServiceRecord, DependencyRecord]:
        """The rustworkx graph itself, for algorithms to read; changing it breaks the graph."""
        return self._topology.digraph

    def has_service(self, name: str) -> bool:
        """Tell whether a service of this name is here; O(1)."""
        return name in self._topology.node_by_name

    def node(self, name: str) -> int:
        """Find the index of a service's node in ``digraph``; raises ``UnknownServiceError``. O(1)."""
        node = self._topology.node_by_name.get(name)
        if node is None:
            raise UnknownServiceError(name)
        return node

    def service(self, name: str) -> ServiceRecord:
        """Look a service up by name; raises ``UnknownServiceError``. O(1)."""
        return self.digraph[self.node(name)]

    def service_by_key(self, key: Hashable) -> ServiceRecord:
        """Look a service up by key; raises ``UnknownServiceError``. O(1)."""
        node = self._topology.node_by_service.get(key)
        if node is None:
            raise UnknownServiceError(key)
        return self.digraph[node]

    def find_service(self, key: Hashable) -> ServiceRecord | None:
        """Look a service up by key; None = it is not here. O(1)."""
        node = self._topology.node_by_service.get(key)
        return None if node is None else self.digraph[node]

    def find_dependency(self, key: Hashable) -> DependencyRecord | None:
        """Look a dependency up that is an edge; None = it waits, or is not here. O(1)."""
        edge = self._topology.edge_by_dependency.get(key)
        return None if edge is None else self.digraph.get_edge_data_by_index(edge)

    @property
    def service_keys(self) -> KeysView[Hashable]:
        """The keys of all services, a view."""
        return self._topology.node_by_service.keys()

    @property
    def dependency_keys(self) -> KeysView[Hashable]:
        """The keys of all dependencies that are edges, a view."""
        return self._topology.edge_by_dependency.keys()

    def dependencies_of(self, key: Hashable) -> list[DependencyRecord]:
        """Look up the dependencies that are edges from or to a service; none when it is not here. O(its degree)."""
        node = self._topology.node_by_service.get(key)
        if node is None:
            return []
        edges = chain(self.digraph.out_edges(node), self.digraph.in_edges(node))
        return [record for _, _, record in edges]

    def services(self) -> list[ServiceRecord]:
        """All services as of now, in no particular order; O(V)."""
        return self.digraph.nodes()

    def dependencies(self) -> list[DependencyRecord]:
        """All dependencies that are edges as of now, in no particular order; O(E)."""
        return self.digraph.edges()

    def waiting_dependencies(self) -> list[DependencyRecord]:
        """All dependencies that wait for a service, in no particular order; O(their number)."""
        return self._waiting.records()

    def derived(self, compute: "Callable[[DependencyGraph], T]") -> T:
        """Return ``compute(self)``, remembered until names, edges or staleness change (not payloads)."""
        if compute not in self._derived:
            self._derived[compute] = compute(self)
        return cast("T", self._derived[compute])

    def apply(self, changes: ChangeSet) -> None:
        """
        Move from one state of the tables to another, as a whole.

        Removals come first and names are freed before they are given out, so in one set services may swap names, a
        name may move to another key, and a dependency may change its ends. Removing a key that is not here does nothing.
        A service removed without its dependencies leaves them waiting.

        Raises ``DuplicateNameError``, and then nothing has changed. O(changed records + degrees of removed services).
        """
        services = {record.key: record for record in changes.upserted_services}
        self._refuse_duplicate_names(services, changes.removed_services)
        edits, reshapings = self._edits(), self._topology.reshapings
        self._remove_dependencies(changes.removed_dependencies)
        self._remove_services(changes.removed_services)
        appeared = self._upsert_services(services)
        self._upsert_dependencies(self._waiting.release(appeared), changes.upserted_dependencies)
        if self._edits() != edits:
            self._version += 1
        if self._topology.reshapings != reshapings:
            self._derived.clear()

    def _edits(self) -> int:
        return self._topology.edits + self._waiting.edits

    def _refuse_duplicate_names(
        self,
        upserted: dict[Hashable, ServiceRecord],
        removed: Iterable[Hashable],
    ) -> None:
        """Raise ``DuplicateNameError`` if a name would be held twice once the change set is applied."""
        moving = upserted.keys() | removed
        claimed: set[str] = set()
        for record in upserted.values():
            holder = self._topology.node_by_name.get(record.name)
            held = holder is not None and self.digraph[holder].key not in moving
            if held or record.name in claimed:
                raise DuplicateNameError(record.name)
            claimed.add(record.name)

    def _remove_dependencies(self, keys: Sequence[Hashable]) -> None:
        self._topology.unlink(keys)
        for key in keys:
            self._waiting.discard(key)

    def _remove_services(self, keys: Iterable[Hashable]) -> None:
        for key in keys:
            for orphan in self._topology.remove_service(key):
                self._waiting.hold(orphan, missing=key)

    def _upsert_services(self, upserted: dict[Hashable, ServiceRecord]) -> list[Hashable]:
        """Add and replace services; returns the keys that were not here before."""
        present = self._topology.node_by_service.keys()
        known = [record for key, record in upserted.items() if key in present]
        new = [record for key, record in upserted.items() if key not in present]
        for record in known:
            self._topology.detach_name(record)
        for record in known:
            self._topology.replace_service(record)
        self._topology.add_services(new)
        return [record.key for record in new]

    def _upsert_dependencies(
        self,
        released: Iterable[DependencyRecord],
        upserted: Iterable[DependencyRecord],
    ) -> None:
        """Link, replace or hold each record; one that is both released and upserted is as the change set says."""
        latest = {record.key: record for record in chain(released, upserted)}
        joining = [record for record in latest.values() if self._must_join(record)]
        self._topology.link(joining)

    def _must_join(self, record: DependencyRecord) -> bool:
        """Bring one record up to date unless it needs a new edge; tell whether it does, its key then being free."""
        former = self._topology.dependency(record.key)
        if former is not None:
            if (former.source, former.target) == (record.source, record.target):
                self._topology.replace_dependency(record)
                return False
            self._topology.unlink([record.key])
        missing = self._missing_end(record)
        if missing is not None or record.source == record.target:
            self._waiting.hold(record, missing)
            return False
        self._waiting.discard(record.key)
        return True

    def _missing_end(self, record: DependencyRecord) -> Hashable | None:
        present = self._topology.node_by_service
        if record.source not in present:
            return record.source
        return None if record.target in present else record.target
