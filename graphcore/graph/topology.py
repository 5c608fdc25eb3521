"""
The indexed multigraph: a rustworkx digraph, look-up tables, traversal index and payload columns.

rustworkx allocates the indices and holds the records; walks and analyses read the traversal index.
"""

from collections.abc import Hashable, Iterable, Sequence
from itertools import compress, repeat
from operator import eq
from typing import NamedTuple, TypeAlias

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray

from graphcore.graph.columns import ObjectColumn, ShardedDict
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import DependencyRecord, ServiceRecord
from graphcore.kernels import FLAGS, OUT_SLOT, STALE_BIT

Pairs: TypeAlias = NDArray[np.int32]
"""The source and target node of edges, a row each; parallel edges have a row each."""

_NO_PAIRS: Pairs = np.empty((0, 2), np.int32)


class EdgeEnds(NamedTuple):
    """
    Edges that are not stale, and those of them with the graph's ``cycle_confidence``.

    ``confident`` is empty if that is 0.
    """

    fresh: Pairs
    confident: Pairs


_NO_ENDS = EdgeEnds(_NO_PAIRS, _NO_PAIRS)


class EdgeDeltas(NamedTuple):
    """
    Edges that were removed and added, and ``nodes`` of services that came, went or were renamed.

    An edge that turns stale counts as removed, one that turns fresh as added; likewise a confident
    edge whose confidence crosses the bound. Apply ``removed`` first: its node indices may belong to
    services that are gone, and be reused in ``added``.
    """

    removed: EdgeEnds
    added: EdgeEnds
    nodes: NDArray[np.int32]


class _EdgeStatus(NamedTuple):
    """The ends of edges, and which of them are fresh and which confident."""

    pairs: Pairs
    fresh: NDArray[np.bool_]
    confident: NDArray[np.bool_]


class Topology:
    """
    Services as nodes and dependencies as edges, with the primitive operations of a change set.

    The operations trust their caller that keys, ends and names fit. After each of them, index and
    columns agree with the digraph. ``floor`` is the least confidence of edges that the deltas call
    confident.
    """

    def __init__(self, floor: float = 0.0) -> None:
        self.floor = floor
        self.digraph: rx.PyDiGraph[ServiceRecord, DependencyRecord] = rx.PyDiGraph(multigraph=True)
        self.node_by_service: dict[Hashable, int] = {}
        self.node_by_name: dict[str, int] = {}
        self.edge_by_dependency: ShardedDict[Hashable, int] = ShardedDict()
        self.index = TraversalIndex()
        self.service_payloads = ObjectColumn()
        self.service_encoded_ids = ObjectColumn()
        self.service_kinds: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.dependency_payloads = ObjectColumn()
        self.stale_count = 0
        self._deltas: list[tuple[EdgeEnds, EdgeEnds]] = []
        self._renewed: list[int] = []

    def take_deltas(self) -> EdgeDeltas:
        """Return the edges and nodes removed and added since the last call. O(their number)."""
        removed, added = ([delta[side] for delta in self._deltas] for side in (0, 1))
        deltas = EdgeDeltas(_joined(removed), _joined(added), np.array(self._renewed, np.int32))
        self._deltas, self._renewed = [], []
        return deltas

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add services whose keys and names are new. O(1) each."""
        if not records:
            return
        keys, names, payloads, encoded_ids, kinds = zip(*records, strict=True)
        nodes = list(self.digraph.add_nodes_from(records))
        self.node_by_service.update(zip(keys, nodes, strict=True))
        self.node_by_name.update(zip(names, nodes, strict=True))
        places = np.array(nodes, np.int32)
        self.index.cover(int(places.max()) + 1)
        self.service_payloads.put(places, payloads, len(self.index.nodes))
        self.service_encoded_ids.put(places, encoded_ids, len(self.index.nodes))
        self._put_kinds(places, kinds)
        self._renewed += nodes

    def detach_name(self, record: ServiceRecord) -> None:
        """Free the former name of a service that is about to be renamed. O(1)."""
        node = self.node_by_service[record.key]
        former = self.digraph[node].name
        if former != record.name:
            del self.node_by_name[former]

    def replace_service(self, record: ServiceRecord) -> None:
        """Replace the record with the same key; call ``detach_name`` before. O(1)."""
        node = self.node_by_service[record.key]
        former = self.digraph[node]
        if former == record:
            return
        self.digraph[node] = record
        self.service_payloads.values[node] = record.payload
        self.service_encoded_ids.values[node] = record.encoded_id
        self.service_kinds[node] = record.kind
        if former.name != record.name:
            self.node_by_name[record.name] = node
            self._renewed.append(node)

    def remove_services(self, keys: Iterable[Hashable]) -> list[tuple[DependencyRecord, Hashable]]:
        """
        Remove services, if they are here, with their edges. O(their degrees).

        Returns the dependencies that lost their edge, each with the key of a removed service.
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
        """Add edges whose keys are new; return the dependencies that can't be edges. O(1) each."""
        if not records:
            return []
        keys, source_keys, target_keys, flags, confidences, payloads = zip(*records, strict=True)
        node_of, missing = self.node_by_service.get, repeat(-1)
        sources, targets = list(map(node_of, source_keys, missing)), list(map(node_of, target_keys, missing))
        if -1 in sources or -1 in targets or any(map(eq, sources, targets)):
            pairs = zip(sources, targets, strict=True)
            fits = [source != target and -1 not in (source, target) for source, target in pairs]
            self.link(list(compress(records, fits)))
            return [record for record, fitting in zip(records, fits, strict=True) if not fitting]
        edges = self.digraph.add_edges_from(list(zip(sources, targets, records, strict=True)))
        self.edge_by_dependency.update(zip(keys, edges, strict=True))
        places = np.array(edges, np.int32)
        self.index.link(places, sources, targets, flags, confidences)
        self.dependency_payloads.put(places, payloads, len(self.index.edges))
        ends = self._ends(places)
        self.stale_count += len(places) - len(ends.fresh)
        self._deltas.append((_NO_ENDS, ends))
        return []

    def replace_dependencies(self, latest: dict[Hashable, DependencyRecord]) -> list[DependencyRecord]:
        """
        Replace the records (by key) of dependencies that are edges and keep their ends. O(1) each.

        Returns the other records; their former edges are removed.
        """
        edges = list(map(self.edge_by_dependency.get, latest))
        if edges.count(None) == len(edges):
            return list(latest.values())
        others: list[DependencyRecord] = []
        payloads: dict[int, object] = {}
        reflagged: list[tuple[int, int, float]] = []
        # In a single pass, because each access to a record waits for memory.
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
        self._update_columns(payloads, reflagged)
        self.unlink([record.key for record in others])
        return others

    def unlink(self, keys: Iterable[Hashable]) -> None:
        """
        Remove the edges of these dependencies, if they have one. O(1) each.

        Newest first: rustworkx keeps edges in linked lists, newest in front. Oldest first would
        cost O(degree) each, quadratic for a hub.
        """
        pop = self.edge_by_dependency.pop
        edges = sorted((edge for key in keys if (edge := pop(key, None)) is not None), reverse=True)
        if not edges:
            return
        places = np.array(edges, np.int32)
        ends = self._ends(places)
        self.index.unlink(places)
        self.dependency_payloads.clear(places)
        for edge in edges:
            self.digraph.remove_edge_from_index(edge)
        self.stale_count -= len(edges) - len(ends.fresh)
        self._deltas.append((ends, _NO_ENDS))

    def _remove_nodes(self, nodes: list[int]) -> None:
        """Remove nodes that have no edges left."""
        if not nodes:
            return
        self.digraph.remove_nodes_from(nodes)
        for node in nodes:
            self.index.forget_node(node)
        places = np.array(nodes, np.int32)
        self.service_payloads.clear(places)
        self.service_encoded_ids.clear(places)
        self.service_kinds[places] = 0
        self._renewed += nodes

    def _put_kinds(self, places: NDArray[np.int32], kinds: Sequence[int]) -> None:
        """Note the kinds of services; there is one for each node of the index, 0 if unused."""
        room, former = len(self.index.nodes), self.service_kinds
        if room > len(former):
            self.service_kinds = np.zeros(room, np.uint8)
            self.service_kinds[: len(former)] = former
        self.service_kinds[places] = kinds

    def _update_columns(
        self, payloads: dict[int, object], reflagged: Sequence[tuple[int, int, float]]
    ) -> None:
        """Write payloads (by edge) to the column, and (edge, flags, confidence) to the index."""
        if payloads:
            places = np.array(list(payloads), np.int32)
            self.dependency_payloads.put(places, list(payloads.values()), len(self.index.edges))
        if not reflagged:
            return
        places = np.array([edge for edge, _, _ in reflagged], np.int32)
        pairs, was_fresh, was_confident = self._status(places)
        self.index.reflag(*zip(*reflagged, strict=True))
        _, fresh, confident = self._status(places)
        removed = EdgeEnds(pairs[was_fresh & ~fresh], pairs[was_confident & ~confident])
        added = EdgeEnds(pairs[fresh & ~was_fresh], pairs[confident & ~was_confident])
        self._deltas.append((removed, added))
        self.stale_count += len(removed.fresh) - len(added.fresh)

    def _ends(self, edges: NDArray[np.int32]) -> EdgeEnds:
        pairs, fresh, confident = self._status(edges)
        return EdgeEnds(pairs[fresh], pairs[confident])

    def _status(self, edges: NDArray[np.int32]) -> _EdgeStatus:
        index, floor = self.index, self.floor
        rows = index.edges[edges]
        fresh = index.pool[FLAGS].take(rows[:, OUT_SLOT]) & STALE_BIT == 0
        confident = fresh & (index.confidence[edges] >= floor) if floor else np.zeros_like(fresh)
        return _EdgeStatus(rows[:, :OUT_SLOT], fresh, confident)


def _joined(several: list[EdgeEnds]) -> EdgeEnds:
    return EdgeEnds(
        _concatenated([ends.fresh for ends in several if len(ends.fresh)]),
        _concatenated([ends.confident for ends in several if len(ends.confident)]),
    )


def _concatenated(several: list[Pairs]) -> Pairs:
    if len(several) > 1:
        return np.concatenate(several)
    return several[0] if several else _NO_PAIRS
