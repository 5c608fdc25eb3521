"""The indexed multigraph: a rustworkx digraph and the ways to find its nodes and edges by key and by name."""

from collections.abc import Hashable, Iterable, Sequence

import rustworkx as rx

from graphcore.changes import DependencyRecord, ServiceRecord
from graphcore.flags import STALE


class Topology:
    """
    Services as nodes, dependencies as edges, each findable in O(1).

    The primitive operations a change set is made of: they trust their caller that keys, ends and names fit, which
    is what ``DependencyGraph.apply`` sees to. ``edits`` counts operations that changed anything, ``reshapings``
    those after which names, edges or staleness differ (and not merely a payload).
    """

    __slots__ = (
        "digraph",
        "edge_by_dependency",
        "edits",
        "node_by_name",
        "node_by_service",
        "reshapings",
        "stale_count",
    )

    def __init__(self) -> None:
        self.digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord] = rx.PyDiGraph(multigraph=True)
        self.node_by_service: dict[Hashable, int] = {}
        self.node_by_name: dict[str, int] = {}
        self.edge_by_dependency: dict[Hashable, int] = {}
        self.stale_count = 0
        self.edits = 0
        self.reshapings = 0

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add nodes whose keys and names are new; O(1) each."""
        nodes = self.digraph.add_nodes_from(records)
        for node, record in zip(nodes, records, strict=True):
            self.node_by_service[record.key] = node
            self.node_by_name[record.name] = node
        self._reshaped(len(records))

    def detach_name(self, record: ServiceRecord) -> None:
        """Free the name a service is about to lose, so that another can take it over; O(1)."""
        node = self.node_by_service[record.key]
        former = self.digraph[node].name
        if former != record.name:
            del self.node_by_name[former]

    def replace_service(self, record: ServiceRecord) -> None:
        """Put a record in the place of the one with its key; a former name must have been detached. O(1)."""
        node = self.node_by_service[record.key]
        former = self.digraph[node]
        if former == record:
            return
        self.digraph[node] = record
        self.edits += 1
        if former.name != record.name:
            self.node_by_name[record.name] = node
            self._reshaped(1)

    def remove_service(self, key: Hashable) -> list[DependencyRecord]:
        """Remove a node if it is there; returns the dependencies that lost their edge with it. O(its degree)."""
        node = self.node_by_service.get(key)
        if node is None:
            return []
        orphans = [record for _, _, record in self.digraph.in_edges(node)]
        orphans += [record for _, _, record in self.digraph.out_edges(node)]
        self.unlink([record.key for record in orphans])
        del self.node_by_service[key]
        del self.node_by_name[self.digraph[node].name]
        self.digraph.remove_node(node)
        self._reshaped(1)
        return orphans

    def link(self, records: Sequence[DependencyRecord]) -> None:
        """Add edges whose keys are new and whose ends are there; O(1) each."""
        node = self.node_by_service
        edges = self.digraph.add_edges_from(
            [(node[record.source], node[record.target], record) for record in records],
        )
        self.edge_by_dependency.update(zip((record.key for record in records), edges, strict=True))
        self.stale_count += sum(1 for record in records if record.flags & STALE)
        self._reshaped(len(records))

    def replace_dependency(self, record: DependencyRecord) -> None:
        """Put a record in the place of the one with its key, which has the same ends; O(1)."""
        edge = self.edge_by_dependency[record.key]
        former = self.digraph.get_edge_data_by_index(edge)
        if former == record:
            return
        self.digraph.update_edge_by_index(edge, record)
        self.edits += 1
        if (former.flags ^ record.flags) & STALE:
            self.stale_count += 1 if record.flags & STALE else -1
            self._reshaped(1)

    def unlink(self, keys: Iterable[Hashable]) -> None:
        """
        Remove the edges of these dependencies, where there are any.

        Newest first: rustworkx keeps edges in linked lists with the newest in front, so that order makes each removal
        O(1) where oldest first would be O(degree), quadratic for the callers of a hub.
        """
        pop = self.edge_by_dependency.pop
        edges = sorted((edge for key in keys if (edge := pop(key, None)) is not None), reverse=True)
        for edge in edges:
            if self.digraph.get_edge_data_by_index(edge).flags & STALE:
                self.stale_count -= 1
            self.digraph.remove_edge_from_index(edge)
        self._reshaped(len(edges))

    def dependency(self, key: Hashable) -> DependencyRecord | None:
        """Look up the record on the edge of a dependency; None = it has no edge. O(1)."""
        edge = self.edge_by_dependency.get(key)
        return None if edge is None else self.digraph.get_edge_data_by_index(edge)

    def _reshaped(self, times: int) -> None:
        self.edits += times
        self.reshapings += times
