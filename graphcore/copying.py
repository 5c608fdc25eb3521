"""Graphs changed aside: copied, and changed a bit at a time where nobody sees it."""

from collections import defaultdict
from collections.abc import Generator, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from graphcore.changes import ChangeSet, ServiceRecord
from graphcore.digraph_copy import copying_digraph
from graphcore.topology import Topology
from graphcore.traversal_index import TraversalIndex

if TYPE_CHECKING:
    from graphcore.graph import DependencyGraph

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
    copy.edits, copy.reshapings = topology.edits, topology.reshapings
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
