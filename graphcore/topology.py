"""The indexed multigraph: a rustworkx digraph, the ways to find its nodes and edges, and what stands beside them."""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.changes import DependencyRecord, ServiceRecord
from graphcore.columns import ObjectColumn
from graphcore.flags import STALE
from graphcore.traversal_index import TraversalIndex

Change: TypeAlias = tuple[int, DependencyRecord, DependencyRecord]
"""An edge, the record that it has, the record that it gets."""

_NO_PAIRS: NDArray[np.int32] = np.empty((0, 2), np.int32)
_NO_NODES: NDArray[np.int32] = np.empty(0, np.int32)


class Moved(NamedTuple):
    """
    Edges that are not stale and went or came: source node and target node, a row each, parallel ones each.

    An edge that turns stale went, one that no longer is came. What was there before is right to take ``removed`` out of
    first; an index in ``removed`` may belong to a service that is gone, and be another's in ``added``. ``nodes``
    are those of services that came, went or were renamed.
    """

    removed: NDArray[np.int32]
    added: NDArray[np.int32]
    nodes: NDArray[np.int32]


class Topology:
    """
    Services as nodes, dependencies as edges, each findable in O(1).

    The primitive operations a change set is made of: they trust their caller that keys, ends and names fit, which
    is what ``DependencyGraph.apply`` sees to. ``edits`` counts operations that changed anything, ``reshapings``
    those after which names, edges or staleness differ (and not merely a payload).

    Traversal index and columns are level with the digraph after every operation.
    """

    __slots__ = (
        "_added",
        "_removed",
        "_touched_nodes",
        "dependency_payloads",
        "digraph",
        "edge_by_dependency",
        "edits",
        "index",
        "node_by_name",
        "node_by_service",
        "reshapings",
        "service_briefs",
        "service_payloads",
        "stale_count",
    )

    def __init__(self) -> None:
        self.digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord] = rx.PyDiGraph(multigraph=True)
        self.node_by_service: dict[Hashable, int] = {}
        self.node_by_name: dict[str, int] = {}
        self.edge_by_dependency: dict[Hashable, int] = {}
        self.index = TraversalIndex()
        self.service_payloads = ObjectColumn()
        self.service_briefs = ObjectColumn()
        self.dependency_payloads = ObjectColumn()
        self.stale_count = 0
        self.edits = 0
        self.reshapings = 0
        self._removed: list[NDArray[np.int32]] = []
        self._added: list[NDArray[np.int32]] = []
        self._touched_nodes: list[NDArray[np.int32]] = []

    def take_moved(self) -> Moved:
        """Hand over, and forget, which edges and nodes went and came since this was last called; O(their number)."""
        moved = Moved(
            _joined(self._removed, _NO_PAIRS),
            _joined(self._added, _NO_PAIRS),
            _joined(self._touched_nodes, _NO_NODES),
        )
        self._removed, self._added, self._touched_nodes = [], [], []
        return moved

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add nodes whose keys and names are new; O(1) each."""
        if not records:
            return
        keys, names, payloads, briefs = zip(*records, strict=True)
        nodes = self.digraph.add_nodes_from(records)
        self.node_by_service.update(zip(keys, nodes, strict=True))
        self.node_by_name.update(zip(names, nodes, strict=True))
        places = np.array(nodes, np.int32)
        self.index.cover(int(places.max()) + 1)
        self.service_payloads.put(places, payloads)
        self.service_briefs.put(places, briefs)
        self._touched_nodes.append(places)
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
        self.service_payloads.values[node] = record.payload
        self.service_briefs.values[node] = record.brief
        self.edits += 1
        if former.name != record.name:
            self.node_by_name[record.name] = node
            self._touched_nodes.append(np.array([node], np.int32))
            self._reshaped(1)

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

    def link(self, records: Sequence[DependencyRecord]) -> None:
        """Add edges whose keys are new and whose ends are there; O(1) each."""
        if not records:
            return
        keys, source_keys, target_keys, flags, confidences, payloads = zip(*records, strict=True)
        node = self.node_by_service.__getitem__
        sources, targets = list(map(node, source_keys)), list(map(node, target_keys))
        edges = self.digraph.add_edges_from(list(zip(sources, targets, records, strict=True)))
        self.edge_by_dependency.update(zip(keys, edges, strict=True))
        places = np.array(edges, np.int32)
        self.index.link(places, sources, targets, flags, confidences)
        self.dependency_payloads.put(places, payloads)
        fresh = self.index.fresh_ends(places)
        self.stale_count += len(places) - len(fresh)
        self._added.append(fresh)
        self._reshaped(len(places))

    def replace_dependencies(self, changes: Iterable[Change]) -> None:
        """Put records in the place of those on their edges, which have the same keys and ends; O(1) each."""
        changed = [change for change in changes if change[1] != change[2]]
        if not changed:
            return
        for edge, _, record in changed:
            self.digraph.update_edge_by_index(edge, record)
        places = np.array([edge for edge, _, _ in changed], np.int32)
        self.dependency_payloads.put(places, [record.payload for _, _, record in changed])
        self.edits += len(changed)
        reflagged = [
            change
            for change in changed
            if change[1].flags != change[2].flags or change[1].confidence != change[2].confidence
        ]
        if reflagged:
            self._reflag(reflagged)

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
        fresh = self.index.fresh_ends(places)
        self.index.unlink(places)
        self.dependency_payloads.clear(places)
        for edge in edges:
            self.digraph.remove_edge_from_index(edge)
        self.stale_count -= len(edges) - len(fresh)
        self._removed.append(fresh)
        self._reshaped(len(edges))

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
        self._touched_nodes.append(places)
        self._reshaped(len(nodes))

    def _reflag(self, changes: Sequence[Change]) -> None:
        """Bring flags and confidences in the index up to date."""
        flips = [edge for edge, former, record in changes if (former.flags ^ record.flags) & STALE]
        places = np.array(flips, np.int32)
        removed = self.index.fresh_ends(places)
        edges, _, records = zip(*changes, strict=True)
        self.index.reflag(
            edges, [record.flags for record in records], [record.confidence for record in records]
        )
        added = self.index.fresh_ends(places)
        self.stale_count += len(removed) - len(added)
        self._removed.append(removed)
        self._added.append(added)
        self._reshaped(len(flips))

    def _reshaped(self, times: int) -> None:
        self.edits += times
        self.reshapings += times


def _joined(arrays: list[NDArray[np.int32]], none: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0] if arrays else none
