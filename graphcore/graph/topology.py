"""The indexed multigraph: a rustworkx digraph, the ways to find its nodes and edges, and what stands beside them."""

from collections.abc import Hashable, Iterable, Sequence
from itertools import compress, repeat
from operator import eq

import numpy as np
import rustworkx as rx

from graphcore.graph.columns import ObjectColumn, ShardedDict
from graphcore.graph.edge_deltas import NO_ENDS, Counting, Moved, MovedNotes
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import DependencyRecord, ServiceRecord


class Topology:
    """
    Services as nodes, dependencies as edges, each findable in O(1).

    The primitive operations a change set is made of: they trust their caller that keys, ends and names fit, which
    is what ``DependencyGraph.apply`` sees to. ``edits`` counts operations that changed anything, ``reshapings``
    those after which names, edges or staleness differ (and not merely a payload).

    Traversal index and columns are level with the digraph after every operation. ``floor`` is the least confidence of what ``take_moved``
    calls confident.
    """

    __slots__ = (
        "_moved",
        "dependency_payloads",
        "digraph",
        "edge_by_dependency",
        "edits",
        "floor",
        "index",
        "node_by_name",
        "node_by_service",
        "service_briefs",
        "service_payloads",
        "stale_count",
    )

    def __init__(self, floor: float = 0.0) -> None:
        self.floor = floor
        self.digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord] = rx.PyDiGraph(multigraph=True)
        self.node_by_service: dict[Hashable, int] = {}
        self.node_by_name: dict[str, int] = {}
        self.edge_by_dependency: ShardedDict[Hashable, int] = ShardedDict()
        self.index = TraversalIndex()
        self.service_payloads = ObjectColumn()
        self.service_briefs = ObjectColumn()
        self.dependency_payloads = ObjectColumn()
        self.stale_count = 0
        self.edits = 0
        self._moved = MovedNotes()

    def take_moved(self) -> Moved:
        """Hand over, and forget, which edges and nodes went and came since this was last called; O(their number)."""
        return self._moved.take()

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add nodes whose keys and names are new; O(1) each."""
        if not records:
            return
        keys, names, payloads, briefs = zip(*records, strict=True)
        nodes = list(self.digraph.add_nodes_from(records))
        self.node_by_service.update(zip(keys, nodes, strict=True))
        self.node_by_name.update(zip(names, nodes, strict=True))
        places = np.array(nodes, np.int32)
        self.index.cover(int(places.max()) + 1)
        self.service_payloads.put(places, payloads, len(self.index.nodes))
        self.service_briefs.put(places, briefs, len(self.index.nodes))
        self._moved.nodes(nodes)
        self.edits += len(records)

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
        self.service_payloads.values[node] = record.payload
        self.service_briefs.values[node] = record.brief
        self.edits += 1
        if former.name != record.name:
            self.node_by_name[record.name] = node
            self._moved.nodes([node])
            self.edits += 1

    def remove_services(self, keys: Iterable[Hashable]) -> list[tuple[DependencyRecord, Hashable]]:
        """
        Remove the nodes of these services, where there are any, and their edges.

        Returns the dependencies that lost their edge, each with the key of the first of these services that it is of.
        O(their degrees).
        """
        orphans: dict[Hashable, tuple[DependencyRecord, Hashable]] = {}
        nodes: list[int] = []
        for key in keys:
            node = self.node_by_service.pop(key, None)
            if node is None:
                continue
            nodes.append(node)
            del self.node_by_name[self.digraph[node].name]
            for edges in (self.digraph.in_edges(node), self.digraph.out_edges(node)):
                for _, _, record in edges:
                    orphans.setdefault(record.key, (record, key))
        self.unlink(orphans)
        self._remove_nodes(nodes)
        return list(orphans.values())

    def link(self, records: Sequence[DependencyRecord]) -> list[DependencyRecord]:
        """
        Add edges whose keys are new; O(1) each.

        Returns those that can't be edges: because a service is not there, or because they are of a service on itself.
        """
        if not records:
            return []
        keys, source_keys, target_keys, flags, confidences, payloads = zip(*records, strict=True)
        node, nowhere = self.node_by_service.get, repeat(-1)
        sources, targets = list(map(node, source_keys, nowhere)), list(map(node, target_keys, nowhere))
        if -1 in sources or -1 in targets or any(map(eq, sources, targets)):
            ends = list(zip(sources, targets, strict=True))
            fits = [source != target and -1 not in (source, target) for source, target in ends]
            self.link(list(compress(records, fits)))
            return [record for record, fitting in zip(records, fits, strict=True) if not fitting]
        edges = self.digraph.add_edges_from(list(zip(sources, targets, records, strict=True)))
        self.edge_by_dependency.update(zip(keys, edges, strict=True))
        places = np.array(edges, np.int32)
        self.index.link(places, sources, targets, flags, confidences)
        self.dependency_payloads.put(places, payloads, len(self.index.edges))
        counting = Counting.of(self.index, places, self.floor).ends()
        self.stale_count += len(places) - len(counting.fresh)
        self._moved.edges(NO_ENDS, counting)
        self.edits += len(places)
        return []

    def replace_dependencies(self, latest: dict[Hashable, DependencyRecord]) -> list[DependencyRecord]:
        """
        Bring records (by key) up to date whose dependencies are edges between the same services; O(1) each.

        Returns the others; their keys have no edge then.
        """
        edges = list(map(self.edge_by_dependency.get, latest))
        if edges.count(None) == len(edges):
            return list(latest.values())
        others: list[DependencyRecord] = []
        payloads: dict[int, object] = {}
        reflagged: list[tuple[int, int, float]] = []
        # All in one pass: each record touched is a wait for memory, whatever is done with it.
        for edge, record in zip(edges, latest.values(), strict=True):
            if edge is None:
                others.append(record)
                continue
            former = self.digraph.get_edge_data_by_index(edge)
            if former == record:
                continue
            if former.source != record.source or former.target != record.target:
                others.append(record)
                continue
            self.digraph.update_edge_by_index(edge, record)
            payloads[edge] = record.payload
            if former.flags != record.flags or former.confidence != record.confidence:
                reflagged.append((edge, record.flags, record.confidence))
        self._replaced(payloads, reflagged)
        self.unlink([record.key for record in others])
        return others

    def unlink(self, keys: Iterable[Hashable]) -> None:
        """
        Remove the edges of these dependencies, where there are any.

        Newest first: rustworkx keeps edges in linked lists with the newest in front, so that order makes each removal
        O(1) where oldest first would be O(degree), quadratic for the callers of a hub.
        """
        pop = self.edge_by_dependency.pop
        edges = sorted((edge for key in keys if (edge := pop(key, None)) is not None), reverse=True)
        if not edges:
            return
        places = np.array(edges, np.int32)
        counting = Counting.of(self.index, places, self.floor).ends()
        self.index.unlink(places)
        self.dependency_payloads.clear(places)
        for edge in edges:
            self.digraph.remove_edge_from_index(edge)
        self.stale_count -= len(edges) - len(counting.fresh)
        self._moved.edges(counting, NO_ENDS)
        self.edits += len(edges)

    def dependency(self, key: Hashable) -> DependencyRecord | None:
        """Look up the record on the edge of a dependency; None = it has no edge. O(1)."""
        edge = self.edge_by_dependency.get(key)
        return None if edge is None else self.digraph.get_edge_data_by_index(edge)

    def _remove_nodes(self, nodes: list[int]) -> None:
        """Remove nodes that have no edges any more."""
        if not nodes:
            return
        self.digraph.remove_nodes_from(nodes)
        for node in nodes:
            self.index.forget_node(node)
        places = np.array(nodes, np.int32)
        self.service_payloads.clear(places)
        self.service_briefs.clear(places)
        self._moved.nodes(nodes)
        self.edits += len(nodes)

    def _replaced(self, payloads: dict[int, object], reflagged: Sequence[tuple[int, int, float]]) -> None:
        """Bring column and index up to date: payloads by edge; edge, flags, confidence."""
        if payloads:
            places = np.array(list(payloads), np.int32)
            self.dependency_payloads.put(places, list(payloads.values()), len(self.index.edges))
            self.edits += len(payloads)
        if not reflagged:
            return
        places = np.array([edge for edge, _, _ in reflagged], np.int32)
        before = Counting.of(self.index, places, self.floor)
        self.index.reflag(*zip(*reflagged, strict=True))
        removed, added = before.difference(Counting.of(self.index, places, self.floor))
        self._moved.edges(removed, added)
        flips = len(removed.fresh) + len(added.fresh)
        if flips:
            self.stale_count += len(removed.fresh) - len(added.fresh)
            self.edits += flips
