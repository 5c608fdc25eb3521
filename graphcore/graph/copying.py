"""Operations on a whole graph in short steps: copy it, list its payloads, free it, change much."""

from collections import defaultdict, deque
from collections.abc import Generator, Hashable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import rustworkx as rx

from graphcore.graph.aliases import Aliases
from graphcore.graph.applying import DanglingDependencies
from graphcore.graph.columns import ObjectColumn, ShardedDict, batches
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import AliasRecord, ChangeSet, DependencyRecord, ServiceRecord
from graphcore.graph.topology import Topology
from graphcore.kernels import NO_EDGE, OUT_SLOT, SOURCE

if TYPE_CHECKING:
    from graphcore.graph.dependency_graph import DependencyGraph

Digraph: TypeAlias = rx.PyDiGraph[ServiceRecord, DependencyRecord]
Copying: TypeAlias = Generator[None, None, list[int]]
"""Copies a batch a step; returns the unused indices below the highest used one, lowest first."""

# Edges are of about the same age if their indices differ in this many bits only.
_AGE_BITS = 10
# Records a step: a quarter of a millisecond to copy them.
_STEP = 1_000
_NO_RECORD = cast("Any", None)


def copying(topology: Topology, index: TraversalIndex) -> Generator[None, None, Topology]:
    """Copy everything but ``index``, which becomes part of the copy, in short steps. O(V + E)."""
    copy = Topology(topology.floor)
    copy.index = index
    copy.digraph = yield from _copying_digraph(topology.digraph, topology.index)
    copy.node_by_service = topology.node_by_service.copy()
    yield
    copy.node_by_name = topology.node_by_name.copy()
    yield
    copy.edge_by_dependency = yield from topology.edge_by_dependency.copying()
    yield from topology.service_payloads.copy_into(copy.service_payloads, len(index.nodes))
    yield from topology.service_encoded_ids.copy_into(copy.service_encoded_ids, len(index.nodes))
    yield from topology.dependency_payloads.copy_into(copy.dependency_payloads, len(index.edges))
    copy.service_kinds = topology.service_kinds.copy()
    copy.stale_count = topology.stale_count
    return copy


def _copying_digraph(digraph: Digraph, index: TraversalIndex) -> Generator[None, None, Digraph]:
    """
    Copy a digraph with its indices and the gaps between them, in short steps. O(V + E).

    ``PyDiGraph.copy`` blocks for 14 to 25 ms for a million edges; this takes a quarter of a second.
    """
    copy: Digraph = rx.PyDiGraph(multigraph=True)
    node_gaps = yield from _copy_nodes(digraph, copy)
    # Gaps are filled and emptied again. Edge gaps are filled with loops at an extra node, which
    # has no other edges: each is then its newest edge, and removed in O(1).
    extra = copy.add_node(_NO_RECORD)
    edge_gaps = yield from _copy_edges(digraph, index, copy, extra)
    while edge_gaps:
        for _ in range(min(_STEP, len(edge_gaps))):
            copy.remove_edge_from_index(edge_gaps.pop())
        yield
    copy.remove_nodes_from([*node_gaps, extra])
    return copy


def _copy_nodes(digraph: Digraph, copy: Digraph) -> Copying:
    present = np.array(digraph.node_indices(), np.int64)
    all_gaps: list[int] = []
    for start in range(0, int(present.max(initial=-1)) + 1, _STEP):
        some = present[np.searchsorted(present, start) : np.searchsorted(present, start + _STEP)]
        batch = range(start, int(min(start + _STEP, present[-1] + 1)))
        gaps = np.setdiff1d(batch, some, assume_unique=True).tolist()
        records = [digraph[node] for node in some.tolist()]
        for gap in gaps:
            records.insert(gap - start, _NO_RECORD)
        copy.add_nodes_from(records)
        all_gaps += gaps
        yield
    return all_gaps


def _copy_edges(digraph: Digraph, index: TraversalIndex, copy: Digraph, extra: int) -> Copying:
    record_on, edges, end = digraph.get_edge_data_by_index, index.edges, index.edge_bound
    all_gaps: list[int] = []
    for start in range(0, end, _STEP):
        ends = edges[start : min(start + _STEP, end), :OUT_SLOT].copy()
        gaps = np.flatnonzero(ends[:, SOURCE] == NO_EDGE)
        ends[gaps] = extra
        records = list(map(record_on, (np.flatnonzero(ends[:, SOURCE] != extra) + start).tolist()))
        for gap in gaps.tolist():
            records.insert(gap, _NO_RECORD)
        copy.add_edges_from(list(zip(*ends.T.tolist(), records, strict=True)))
        all_gaps += (gaps + start).tolist()
        yield
    return all_gaps


def split_changes(graph: "DependencyGraph", changes: ChangeSet, size: int) -> Iterator[ChangeSet]:
    """
    Split a change set into sets of at most ``size`` records that have the same effect in sequence.

    Renamed services stay together, because they may swap names, and so do renamed aliases. A set
    may be empty, where finding the next one takes long.
    """
    yield from _removals(graph, changes.removed_dependencies, size)
    for keys in batches(changes.removed_services, size):
        yield ChangeSet(removed_services=keys)
    for keys in batches(changes.removed_aliases, size):
        yield ChangeSet(removed_aliases=keys)
    renamed: list[ServiceRecord] = []
    others: list[ServiceRecord] = []
    for record in changes.upserted_services:
        former = graph.find_service(record.key)
        (others if former is None or former.name == record.name else renamed).append(record)
    if renamed:
        yield ChangeSet(upserted_services=renamed)
    for services in batches(others, size):
        yield ChangeSet(upserted_services=services)
    for dependencies in batches(changes.upserted_dependencies, size):
        yield ChangeSet(upserted_dependencies=dependencies)
    yield from _alias_upserts(graph, changes.upserted_aliases, size)


def _alias_upserts(
    graph: "DependencyGraph", records: Sequence[AliasRecord], size: int
) -> Iterator[ChangeSet]:
    renamed: list[AliasRecord] = []
    others: list[AliasRecord] = []
    for record in records:
        former = graph.find_alias(record.key)
        (others if former is None or former.name == record.name else renamed).append(record)
    if renamed:
        yield ChangeSet(upserted_aliases=renamed)
    for aliases in batches(others, size):
        yield ChangeSet(upserted_aliases=aliases)


def _removals(graph: "DependencyGraph", keys: Sequence[Hashable], size: int) -> Iterator[ChangeSet]:
    """Remove the newest first, for ``Topology.unlink``, without sorting all in one step."""
    by_age: defaultdict[int, list[Hashable]] = defaultdict(list)
    for some in batches(keys, size):
        for key in some:
            by_age[(graph.edge(key) or 0) >> _AGE_BITS].append(key)
        yield ChangeSet()
    for age in sorted(by_age, reverse=True):
        yield ChangeSet(removed_dependencies=by_age[age])


class PayloadTable:
    """What is held of each service, dependency or alias, by key; each can be taken once."""

    def __init__(
        self, places: ShardedDict[Hashable, int], column: ObjectColumn, dangling: dict[Hashable, object]
    ) -> None:
        self._places = places
        self._column = column
        self._dangling = dangling

    def take(self, key: Hashable) -> object:
        """Remove a key and return what is held of it; None if it is absent. O(1)."""
        place = self._places.pop(key)
        return self._dangling.pop(key, None) if place is None else self._column.values[place]

    def rest(self) -> Iterator[Hashable]:
        """Iterate over the keys that were not taken."""
        return chain(self._places, self._dangling)


def payload_tables(
    topology: Topology, dangling: DanglingDependencies, aliases: Aliases
) -> Generator[None, None, tuple[PayloadTable, PayloadTable, PayloadTable]]:
    """
    List the payloads of services and of dependencies, and whole records of aliases.

    In short steps; what waits for a service is included.
    """
    services: ShardedDict[Hashable, int] = ShardedDict()
    services.update(topology.node_by_service.items())
    yield
    dependencies = yield from topology.edge_by_dependency.copying()
    columns = ObjectColumn(), ObjectColumn()
    yield from topology.service_payloads.copy_into(columns[0], len(topology.service_payloads.values))
    yield from topology.dependency_payloads.copy_into(columns[1], len(topology.dependency_payloads.values))
    others = {record.key: record.payload for record in dangling.records()}
    return (
        PayloadTable(services, columns[0], {}),
        PayloadTable(dependencies, columns[1], others),
        PayloadTable(ShardedDict(), ObjectColumn(), cast("dict[Hashable, object]", aliases.records())),
    )


def dismantle(topology: Topology, dangling: DanglingDependencies, aliases: Aliases) -> Iterator[None]:
    """
    Free the memory of a graph, about a thousand records a step.

    Nodes and edges lose their records but stay: to remove each would take longer, and without
    records ``clear`` takes a few milliseconds. There is no list of all records, because the garbage
    collector would traverse it, for 20 ms each time.
    """
    for column in (topology.dependency_payloads, topology.service_payloads, topology.service_encoded_ids):
        yield from column.emptying()
    digraph, nothing = topology.digraph, repeat(_NO_RECORD)
    for edge_by_dependency in topology.edge_by_dependency.shards:
        for edges in batches(edge_by_dependency.values(), _STEP):
            deque(map(digraph.update_edge_by_index, edges, nothing), maxlen=0)
            yield
        edge_by_dependency.clear()
    for nodes in batches(topology.node_by_service.values(), _STEP):
        deque(map(digraph.__setitem__, nodes, nothing), maxlen=0)
        yield
    topology.node_by_service.clear()
    topology.node_by_name.clear()
    digraph.clear()
    yield
    while dangling:
        dangling.discard_newest(_STEP)
        yield
    yield from aliases.emptying()
