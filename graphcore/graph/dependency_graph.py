"""The dependency graph in memory: a pure function of the rows of the three tables."""

from collections.abc import Generator, Hashable, Iterator, KeysView, Sequence
from itertools import chain
from typing import Self

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.components.components import Component, Components
from graphcore.components.index import ComponentIndex
from graphcore.graph.aliases import Aliases
from graphcore.graph.applying import DanglingDependencies, apply_changes
from graphcore.graph.columns import batches
from graphcore.graph.copying import PayloadTable, copying, dismantle, payload_tables
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import (
    AliasRecord,
    ChangeSet,
    DependencyRecord,
    ServiceRecord,
    UnknownServiceError,
)
from graphcore.graph.topology import Topology


class DependencyGraph:
    """
    Services, their aliases and the dependencies between them, changed only by ``apply``.

    The content depends on the final rows only, not on how changes were grouped or ordered. The
    order of a service's edges, and so of services with the same depth, does depend on it.

    A dependency of which a service is missing *dangles*: it is counted and listed, but is no edge,
    until that service appears. A dependency of a service on itself dangles forever. An alias of
    which the service is missing is counted, but resolves to nothing until then.

    Not thread-safe: change it and read it from one thread. Records are immutable.

    ``cycle_confidence`` is the least confidence of the dependencies in ``confident_components``; it
    is ignored if a topology is given, which has its own.
    """

    __slots__ = ("_aliases", "_dangling", "_topology", "components", "confident_components", "index")

    def __init__(
        self,
        topology: Topology | None = None,
        dangling: DanglingDependencies | None = None,
        aliases: Aliases | None = None,
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        self._topology = Topology(cycle_confidence) if topology is None else topology
        self._dangling = DanglingDependencies() if dangling is None else dangling
        self._aliases = Aliases() if aliases is None else aliases
        self.index = self._topology.index
        """The adjacency of ``digraph`` as arrays, for kernels. Read-only."""
        self.components = Components(self.digraph, ComponentIndex(self.index))
        """The strongly connected components over dependencies that are not stale."""
        self.confident_components = self.components
        """
        Those over dependencies of at least ``cycle_confidence``.

        The same object if that is 0.
        """
        if floor := self._topology.floor:
            self.confident_components = Components(self.digraph, ComponentIndex(self.index, floor=floor))

    @classmethod
    def from_records(
        cls,
        services: Sequence[ServiceRecord],
        dependencies: Sequence[DependencyRecord] = (),
        aliases: Sequence[AliasRecord] = (),
    ) -> Self:
        """Build a graph of these rows. Raises ``DuplicateNameError``. O(V + E)."""
        graph = cls()
        graph.apply(
            ChangeSet(
                upserted_services=services, upserted_dependencies=dependencies, upserted_aliases=aliases
            )
        )
        return graph

    @property
    def cycle_confidence(self) -> float:
        """The least confidence of dependencies in ``confident_components``."""
        return self._topology.floor

    @property
    def service_count(self) -> int:
        """Number of services."""
        return len(self._topology.node_by_service)

    @property
    def dependency_count(self) -> int:
        """Number of edges: parallel and stale dependencies count, dangling ones don't."""
        return len(self._topology.edge_by_dependency)

    @property
    def stale_count(self) -> int:
        """Number of edges that are stale."""
        return self._topology.stale_count

    @property
    def dangling_count(self) -> int:
        """Number of dangling dependencies."""
        return len(self._dangling)

    @property
    def alias_count(self) -> int:
        """Number of aliases, those of missing services included."""
        return len(self._aliases)

    @property
    def digraph(self) -> rx.PyDiGraph[ServiceRecord, DependencyRecord]:
        """The rustworkx graph, read-only: allocates the indices and holds the records."""
        return self._topology.digraph

    @property
    def service_payloads(self) -> NDArray[np.object_]:
        """The payload of each service by node; look it up again after each change."""
        return self._topology.service_payloads.values

    @property
    def service_encoded_ids(self) -> NDArray[np.object_]:
        """The encoded id of each service by node; look it up again after each change."""
        return self._topology.service_encoded_ids.values

    @property
    def dependency_payloads(self) -> NDArray[np.object_]:
        """The payload of each dependency by edge; look it up again after each change."""
        return self._topology.dependency_payloads.values

    @property
    def service_keys(self) -> KeysView[Hashable]:
        """The keys of all services, as a view."""
        return self._topology.node_by_service.keys()

    @property
    def dependency_keys(self) -> KeysView[Hashable]:
        """The keys of all dependencies that are edges, as a view."""
        return self._topology.edge_by_dependency.keys()

    def has_service(self, name: str) -> bool:
        """Whether there is a service with this name. O(1)."""
        return name in self._topology.node_by_name

    def node(self, name: str) -> int:
        """Return the node of a service. Raises ``UnknownServiceError``. O(1)."""
        try:
            return self._topology.node_by_name[name]
        except KeyError:
            raise UnknownServiceError(name) from None

    def resolve(self, name: str) -> str | None:
        """
        Return the own name of the service that has this name or alias; None = there is none. O(1).

        Should the tables hold the name of a service as an alias too, the service goes before.
        """
        if name in self._topology.node_by_name:
            return name
        alias = self._aliases.named(name)
        service = None if alias is None else self.find_service(alias.service)
        return None if service is None else service.name

    def aliases_of(self, name: str) -> list[str]:
        """
        List the aliases of the service with this own name, sorted. O(n log n) of their number.

        Raises ``UnknownServiceError``.
        """
        return sorted(alias.name for alias in self._aliases.of_service(self.service(name).key))

    def aliases(self) -> list[AliasRecord]:
        """List all aliases, in no particular order. O(their number)."""
        return list(self._aliases.records().values())

    def find_alias(self, key: Hashable) -> AliasRecord | None:
        """Look up an alias by key; None if it is not here. O(1)."""
        return self._aliases.find(key)

    def edge(self, key: Hashable) -> int | None:
        """Return the edge of a dependency; None if it is not here, or dangles. O(1)."""
        return self._topology.edge_by_dependency.get(key)

    def service(self, name: str) -> ServiceRecord:
        """Look up a service by name. Raises ``UnknownServiceError``. O(1)."""
        return self.digraph[self.node(name)]

    def find_service(self, key: Hashable) -> ServiceRecord | None:
        """Look up a service by key; None if it is not here. O(1)."""
        node = self._topology.node_by_service.get(key)
        return None if node is None else self.digraph[node]

    def find_dependency(self, key: Hashable) -> DependencyRecord | None:
        """Look up a dependency by key; None if it is not here, or dangles. O(1)."""
        edge = self.edge(key)
        return None if edge is None else self.digraph.get_edge_data_by_index(edge)

    def dependencies_of(self, key: Hashable) -> list[DependencyRecord]:
        """List the edges from and to a service; empty if it is not here. O(its degree)."""
        node = self._topology.node_by_service.get(key)
        if node is None:
            return []
        edges = chain(self.digraph.out_edges(node), self.digraph.in_edges(node))
        return [record for _, _, record in edges]

    def component_of(self, name: str) -> Component:
        """Return the component of a service. Raises ``UnknownServiceError``."""
        return self.components.component(self.node(name))

    def nodes_of_kinds(self, kinds: int) -> NDArray[np.int64]:
        """List the nodes of services whose kind is one of these bits. O(V), 30 µs for 100,000."""
        return np.flatnonzero(self._topology.service_kinds & np.uint8(kinds))

    def nodes_by_name(self) -> dict[str, int]:
        """Return the node of each service by name. O(V), 1 ms for 100,000."""
        return self._topology.node_by_name.copy()

    def nodes_by_key(self) -> dict[Hashable, int]:
        """Return the node of each service by key. O(V), 1 ms for 100,000."""
        return self._topology.node_by_service.copy()

    def services(self) -> list[ServiceRecord]:
        """List all services, in no particular order. O(V)."""
        return self.digraph.nodes()

    def dependencies(self) -> list[DependencyRecord]:
        """List all dependencies that are edges, in no particular order. O(E)."""
        return self.digraph.edges()

    def dangling_dependencies(self) -> list[DependencyRecord]:
        """List all dangling dependencies, in no particular order. O(their number)."""
        return self._dangling.records()

    def dangling_dependencies_of(self, key: Hashable) -> list[DependencyRecord]:
        """List the dependencies to be linked when a service with this key appears."""
        return self._dangling.lacking(key)

    def service_batches(self, size: int) -> Iterator[list[ServiceRecord]]:
        """Iterate over all services, ``size`` at a time; nothing may change meanwhile. O(V)."""
        for batch in batches(self._topology.node_by_service.values(), size):
            yield [self.digraph[node] for node in batch]

    def dependency_batches(self, size: int) -> Iterator[list[DependencyRecord]]:
        """Iterate over all edges, ``size`` at a time; nothing may change meanwhile. O(E)."""
        for batch in batches(self._topology.edge_by_dependency.values(), size):
            yield list(map(self.digraph.get_edge_data_by_index, batch))

    def apply(self, changes: ChangeSet) -> None:
        """
        Apply a change set as a whole. O(changed records + degrees of removed services).

        Removals come first, and names are freed before they are given out: in one set, services may
        swap names, a name may move to another key, and a dependency may change its ends. Removing
        an unknown key does nothing. Removing a service without its dependencies leaves them
        dangling, and its aliases without a service.

        Raises ``DuplicateNameError`` before anything changes.
        """
        apply_changes(self._topology, self._dangling, self._aliases, changes)
        deltas = self._topology.take_deltas()
        self.components.update(deltas.removed.fresh, deltas.added.fresh, deltas.nodes)
        if self.confident_components is not self.components:
            self.confident_components.update(deltas.removed.confident, deltas.added.confident, deltas.nodes)

    def making_room(self, dependency_count: int) -> Iterator[None]:
        """Make room for payloads of more dependencies in short steps, as ``index.roomier``."""
        wanted = max(self.digraph.num_edges() + dependency_count, len(self.index.edges))
        return self._topology.dependency_payloads.growing(wanted)

    def payload_tables(self) -> Generator[None, None, tuple[PayloadTable, PayloadTable, PayloadTable]]:
        """
        Copy the payloads of services and dependencies, and the records of aliases, by key.

        In short steps; nothing may change meanwhile.
        """
        return payload_tables(self._topology, self._dangling, self._aliases)

    def copying(self, index: TraversalIndex) -> Generator[None, None, "DependencyGraph"]:
        """
        Copy the graph in steps of about 1 ms; nothing may change meanwhile. O(V + E).

        ``index`` is a copy of the graph's own (``TraversalIndex.roomier``) and belongs to the copy
        then. Records are shared. The dict of nodes takes one step, 3 ms for 100,000 services.
        """
        topology = yield from copying(self._topology, index)
        aliases = yield from self._aliases.copying()
        return DependencyGraph(topology, self._dangling.copy(), aliases)

    def dismantle(self) -> Iterator[None]:
        """
        Free the memory in steps of 1 to 2 ms; the graph is unusable after the first one.

        To drop a graph of a million dependencies at once would take a third of a second.
        """
        return dismantle(self._topology, self._dangling, self._aliases)
