"""The dependency graph in memory: a pure function of the rows it was given, however they came."""

from collections.abc import Generator, Hashable, Iterator, KeysView, Sequence
from itertools import chain, islice
from typing import Self, TypeVar

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.components.components import Component, Components, confident
from graphcore.components.index import ComponentIndex
from graphcore.graph.applying import WaitingDependencies, apply_changes
from graphcore.graph.copying import PayloadTable, copying, dismantle, noting
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import ChangeSet, DependencyRecord, ServiceRecord, UnknownServiceError
from graphcore.graph.topology import Topology


class GraphLookup:
    """The records of a graph by key, name and number, and how many there are; nothing here changes it."""

    __slots__ = ("_topology", "_waiting")

    def __init__(self, topology: Topology, waiting: WaitingDependencies) -> None:
        self._topology = topology
        self._waiting = waiting

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

    @property
    def service_payloads(self) -> NDArray[np.object_]:
        """The payload of each service by its node; look it up anew once the graph has moved on."""
        return self._topology.service_payloads.values

    @property
    def service_briefs(self) -> NDArray[np.object_]:
        """The brief of each service by its node, as ``service_payloads``."""
        return self._topology.service_briefs.values

    @property
    def dependency_payloads(self) -> NDArray[np.object_]:
        """The payload of each dependency that is an edge by its edge, as ``service_payloads``."""
        return self._topology.dependency_payloads.values

    def has_service(self, name: str) -> bool:
        """Tell whether a service of this name is here; O(1)."""
        return name in self._topology.node_by_name

    def node(self, name: str) -> int:
        """Find the index of a service's node in ``digraph``; raises ``UnknownServiceError``. O(1)."""
        try:
            return self._topology.node_by_name[name]
        except KeyError:
            raise UnknownServiceError(name) from None

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

    def edge(self, key: Hashable) -> int | None:
        """Find the index of a dependency's edge in ``digraph``; None = it waits, or is not here. O(1)."""
        return self._topology.edge_by_dependency.get(key)

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

    def nodes_by_name(self) -> dict[str, int]:
        """Give the node of each service as of now, by its name, in no particular order; O(V), a millisecond a hundred thousand."""
        return self._topology.node_by_name.copy()

    def services(self) -> list[ServiceRecord]:
        """All services as of now, in no particular order; O(V)."""
        return self.digraph.nodes()

    def dependencies(self) -> list[DependencyRecord]:
        """All dependencies that are edges as of now, in no particular order; O(E)."""
        return self.digraph.edges()

    def waiting_dependencies(self) -> list[DependencyRecord]:
        """All dependencies that wait for a service, in no particular order; O(their number)."""
        return self._waiting.records()

    def waiting_for(self, key: Hashable) -> list[DependencyRecord]:
        """Look up the dependencies that would be placed again if a service with this key appeared; O(their number)."""
        return self._waiting.held_for(key)

    def service_lots(self, size: int) -> Iterator[list[ServiceRecord]]:
        """Go through all services, ``size`` at a time, while the graph stands still; O(V) altogether."""
        nodes = iter(self._topology.node_by_service.values())
        while lot := list(islice(nodes, size)):
            yield [self.digraph[node] for node in lot]

    def dependency_lots(self, size: int) -> Iterator[list[DependencyRecord]]:
        """Go through all dependencies that are edges, ``size`` at a time, while the graph stands still; O(E) altogether."""
        edges = iter(self._topology.edge_by_dependency.values())
        while lot := list(islice(edges, size)):
            yield list(map(self.digraph.get_edge_data_by_index, lot))


T = TypeVar("T")


class DependencyGraph(GraphLookup):
    """
    Services and the dependencies between them, changed only by ``apply``.

    Whatever the order and grouping of changes, the content equals that of a graph built from the final rows; only
    the order of a service's edges, and with it the order of services of one depth, depends on the way here.

    A dependency whose two services are not both present *waits*: it is counted and listed, but no edge, and joins as
    soon as the missing service appears. So does, for good, a dependency of a service on itself.

    Not thread-safe: change and read it from one thread. Records are immutable, so answers taken from the graph stay
    what they were while it moves on.

    ``cycle_confidence`` is the least confidence of dependencies that make ``confident_components``; given topology has its own.
    """

    __slots__ = ("_version", "components", "confident_components", "index")

    def __init__(
        self,
        topology: Topology | None = None,
        waiting: WaitingDependencies | None = None,
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        super().__init__(
            Topology(cycle_confidence) if topology is None else topology,
            WaitingDependencies() if waiting is None else waiting,
        )
        self.index = self._topology.index
        """The adjacency of ``digraph`` as arrays, for kernels to read; changing it breaks the graph."""
        self.components = Components(self.digraph, ComponentIndex(self.index))
        """The strongly connected components over dependencies that are not stale."""
        self.confident_components = confident(self.components, self._topology)
        """The same over dependencies of at least ``cycle_confidence`` alone; the very same object while that is 0."""
        self._version = 0

    @classmethod
    def from_records(
        cls, services: Sequence[ServiceRecord], dependencies: Sequence[DependencyRecord] = ()
    ) -> Self:
        """Build a graph of these rows; raises ``DuplicateNameError``. O(V + E)."""
        graph = cls()
        graph.apply(ChangeSet(upserted_services=services, upserted_dependencies=dependencies))
        return graph

    @property
    def cycle_confidence(self) -> float:
        """The least confidence of dependencies that make ``confident_components``."""
        return self._topology.floor

    @property
    def version(self) -> int:
        """Number of change sets so far that changed anything."""
        return self._version

    def component_of(self, name: str) -> Component:
        """Look up the component a service is in; raises ``UnknownServiceError``. O(1), O(members) once after it has changed."""
        return self.components.component(self.node(name))

    def apply(self, changes: ChangeSet) -> None:
        """
        Move from one state of the tables to another, as a whole.

        Removals come first and names are freed before they are given out, so in one set services may swap names, a
        name may move to another key, and a dependency may change its ends. Removing a key that is not here does nothing.
        A service removed without its dependencies leaves them waiting.

        Raises ``DuplicateNameError``, and then nothing has changed. O(changed records + degrees of removed services).
        """
        edits = self._edits()
        apply_changes(self._topology, self._waiting, changes)
        if self._edits() != edits:
            self._version += 1
        moved = self._topology.take_moved()
        self.components.update(moved.removed.fresh, moved.added.fresh, moved.nodes)
        if self.confident_components is not self.components:
            self.confident_components.update(moved.removed.confident, moved.added.confident, moved.nodes)

    def dismantle(self) -> Iterator[None]:
        """
        Free what the graph holds, in steps of one to two milliseconds; nothing may be asked of it any more once the first is made.

        Dropping a graph of a million dependencies in one go takes a third of a second. Answers taken from it stay what they are.
        """
        return dismantle(self._topology, self._waiting)

    def making_room(self, dependency_count: int) -> Iterator[None]:
        """Make room for more dependencies a bit at a time, while the graph stands still; that of the index is made by ``roomier``."""
        wanted = max(self.digraph.num_edges() + dependency_count, len(self.index.edges))
        return self._topology.dependency_payloads.growing(wanted)

    def noting(self) -> Generator[None, None, tuple[PayloadTable, PayloadTable]]:
        """Note all payloads of services and dependencies by their keys, a bit at a time while the graph stands still; see ``PayloadTable``."""
        return noting(self._topology, self._waiting)

    def copying(self, index: TraversalIndex) -> Generator[None, None, "DependencyGraph"]:
        """
        Copy the graph a bit at a time, while it stands still; ``index`` is a copy of its own (``TraversalIndex.roomier``).

        Records are shared. O(V + E), a bit in about a millisecond, but for what is kept by service: 3 ms for 100,000 of them.
        """
        topology = yield from copying(self._topology, index)
        return DependencyGraph(topology, self._waiting.copy())

    def _edits(self) -> int:
        return self._topology.edits + self._waiting.edits
