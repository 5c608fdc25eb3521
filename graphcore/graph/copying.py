"""Long operations on a whole graph, cut into short steps: copying it, listing payloads, freeing it."""

from collections import defaultdict, deque
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
import rustworkx as rx

from graphcore.graph.applying import WaitingDependencies
from graphcore.graph.columns import ObjectColumn, ShardedDict
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import ChangeSet, DependencyRecord, ServiceRecord
from graphcore.graph.topology import Topology
from graphcore.kernels.layout import NO_EDGE, OUT_SLOT, SOURCE

if TYPE_CHECKING:
    from graphcore.graph.dependency_graph import DependencyGraph


Item = TypeVar("Item")

# Edges whose indices differ in this many bits only are about as old.
_AGE_BITS = 10


def copying(topology: Topology, index: TraversalIndex) -> Generator[None, None, Topology]:
    """
    Copy everything but the index a bit at a time, while nothing changes; returns the copy. O(V + E).

    ``index`` is a copy of the index, and becomes the copy's own.
    """
    copy = Topology(topology.floor)
    copy.index = index
    copy.digraph = yield from copying_digraph(topology.digraph, topology.index)
    copy.node_by_service = topology.node_by_service.copy()
    yield
    copy.node_by_name = topology.node_by_name.copy()
    yield
    copy.edge_by_dependency = yield from topology.edge_by_dependency.copying()
    yield from topology.service_payloads.copy_into(copy.service_payloads, len(index.nodes))
    yield from topology.service_briefs.copy_into(copy.service_briefs, len(index.nodes))
    yield from topology.dependency_payloads.copy_into(copy.dependency_payloads, len(index.edges))
    copy.stale_count = topology.stale_count
    copy.edits = topology.edits
    return copy


def parts(graph: "DependencyGraph", changes: ChangeSet, size: int) -> Iterator[ChangeSet]:
    """
    Cut a change set into some of at most ``size`` records that come to the same when they are applied one after the other.

    Services that change their names stay together, for they may swap them. Parts may be empty, where finding the next one takes long.
    """
    yield from _removals(graph, changes.removed_dependencies, size)
    yield from (ChangeSet(removed_services=keys) for keys in _slices(changes.removed_services, size))
    renamed: list[ServiceRecord] = []
    others: list[ServiceRecord] = []
    for record in changes.upserted_services:
        former = graph.find_service(record.key)
        (others if former is None or former.name == record.name else renamed).append(record)
    if renamed:
        yield ChangeSet(upserted_services=renamed)
    yield from (ChangeSet(upserted_services=records) for records in _slices(others, size))
    yield from (
        ChangeSet(upserted_dependencies=records) for records in _slices(changes.upserted_dependencies, size)
    )


def _removals(graph: "DependencyGraph", keys: Sequence[Hashable], size: int) -> Iterator[ChangeSet]:
    """Remove dependencies newest first, as ``Topology.unlink`` wants it, without sorting them all in one go."""
    by_age: defaultdict[int, list[Hashable]] = defaultdict(list)
    for some in _slices(keys, size):
        for key in some:
            by_age[(graph.edge(key) or 0) >> _AGE_BITS].append(key)
        yield ChangeSet()
    for age in sorted(by_age, reverse=True):
        yield ChangeSet(removed_dependencies=by_age[age])


def _slices(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


Digraph: TypeAlias = rx.PyDiGraph[ServiceRecord, DependencyRecord]
Copying: TypeAlias = Generator[None, None, list[int]]
"""Copies some at a time; returns the indices below the highest that the original does not have, lowest first."""

# A quarter of a millisecond's work.
_LOT = 1_000
_NOTHING = cast("Any", None)


def copying_digraph(digraph: Digraph, index: TraversalIndex) -> Generator[None, None, Digraph]:
    """
    Copy a digraph that does not change meanwhile, nor does its index; returns the copy. O(V + E).

    The library's own copy holds everybody up, 14 to 25 ms for a million edges. This one takes a quarter of a second, and nobody waits.
    """
    copy: Digraph = rx.PyDiGraph(multigraph=True)
    missing_nodes = yield from _copy_nodes(digraph, copy)
    # What is missing is made and taken out again: edges of a node that has no others, so that each is its newest, which goes in O(1).
    nowhere = copy.add_node(_NOTHING)
    missing_edges = yield from _copy_edges(digraph, index, copy, nowhere)
    while missing_edges:
        for _ in range(min(_LOT, len(missing_edges))):
            copy.remove_edge_from_index(missing_edges.pop())
        yield
    copy.remove_nodes_from([*missing_nodes, nowhere])
    return copy


def _copy_nodes(digraph: Digraph, copy: Digraph) -> Copying:
    present = np.array(digraph.node_indices(), np.int64)
    missing: list[int] = []
    for start in range(0, int(present.max(initial=-1)) + 1, _LOT):
        some = present[np.searchsorted(present, start) : np.searchsorted(present, start + _LOT)]
        lot = range(start, int(min(start + _LOT, present[-1] + 1)))
        gaps = np.setdiff1d(lot, some, assume_unique=True).tolist()
        records = [digraph[node] for node in some.tolist()]
        for gap in gaps:
            records.insert(gap - start, _NOTHING)
        copy.add_nodes_from(records)
        missing += gaps
        yield
    return missing


def _copy_edges(digraph: Digraph, index: TraversalIndex, copy: Digraph, nowhere: int) -> Copying:
    record_on, edges, end = digraph.get_edge_data_by_index, index.edges, index.edge_bound
    missing: list[int] = []
    for start in range(0, end, _LOT):
        ends = edges[start : min(start + _LOT, end), :OUT_SLOT].copy()
        gaps = np.flatnonzero(ends[:, SOURCE] == NO_EDGE)
        ends[gaps] = nowhere
        records = list(map(record_on, (np.flatnonzero(ends[:, SOURCE] != nowhere) + start).tolist()))
        for gap in gaps.tolist():
            records.insert(gap, _NOTHING)
        copy.add_edges_from(list(zip(*ends.T.tolist(), records, strict=True)))
        missing += (gaps + start).tolist()
        yield
    return missing


class PayloadTable:
    """What a graph held of its services or of its dependencies; nothing is copied but references."""

    __slots__ = ("_column", "_others", "_places")

    def __init__(
        self,
        places: ShardedDict[Hashable, int],
        column: ObjectColumn,
        others: dict[Hashable, object],
    ) -> None:
        self._places = places
        self._column = column
        self._others = others

    def take(self, key: Hashable) -> object:
        """Take the payload of a key out; None = there is none. O(1)."""
        place = self._places.pop(key)
        return self._others.pop(key, None) if place is None else self._column.values[place]

    def rest(self) -> Iterator[Hashable]:
        """Keys that nobody took."""
        return chain(self._places, self._others)


def noting(
    topology: Topology, waiting: WaitingDependencies
) -> Generator[None, None, tuple[PayloadTable, PayloadTable]]:
    """Note services and dependencies, those that wait included, a bit at a time while nothing changes. O(V + E), 40 ms a million."""
    services: ShardedDict[Hashable, int] = ShardedDict()
    services.update(topology.node_by_service.items())
    yield
    dependencies = yield from topology.edge_by_dependency.copying()
    columns = ObjectColumn(), ObjectColumn()
    yield from topology.service_payloads.copy_into(columns[0], len(topology.service_payloads.values))
    yield from topology.dependency_payloads.copy_into(columns[1], len(topology.dependency_payloads.values))
    held = {record.key: record.payload for record in waiting.records()}
    return PayloadTable(services, columns[0], {}), PayloadTable(dependencies, columns[1], held)


_STEP = 1_000


def dismantle(topology: Topology, waiting: WaitingDependencies) -> Iterator[None]:
    """
    Free what a graph holds, some thousands of records a step.

    Edges and nodes stay, without their records: removing them would take longer, and without records they go in a few milliseconds
    altogether. No list of all records is made, because the garbage collector would look through it, for twenty milliseconds each time.
    """
    for column in (topology.dependency_payloads, topology.service_payloads, topology.service_briefs):
        yield from column.emptying()
    digraph, nothing = topology.digraph, repeat(cast("Any", None))
    for edge_by_dependency in topology.edge_by_dependency.shards():
        for edges in _steps(edge_by_dependency.values()):
            deque(map(digraph.update_edge_by_index, edges, nothing), maxlen=0)
            yield
        edge_by_dependency.clear()
    for nodes in _steps(topology.node_by_service.values()):
        deque(map(digraph.__setitem__, nodes, nothing), maxlen=0)
        yield
    topology.node_by_service.clear()
    topology.node_by_name.clear()
    digraph.clear()
    yield
    while waiting:
        waiting.forget_newest(_STEP)
        yield


def _steps(indices: Iterable[int]) -> Iterator[list[int]]:
    remaining = iter(indices)
    while some := list(islice(remaining, _STEP)):
        yield some
