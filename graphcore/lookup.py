"""What one can look up in a graph, record by record."""

from collections.abc import Hashable, Iterator, KeysView
from itertools import chain, islice

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.changes import DependencyRecord, ServiceRecord
from graphcore.errors import UnknownServiceError
from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies


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
