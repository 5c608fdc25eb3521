"""Whether the arrays beside a graph say what the graph says, looked at entry by entry."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from graphcore import DependencyGraph
from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import (
    CAPACITY,
    COUNT,
    EDGE,
    FLAGS,
    GARBAGE,
    IN,
    IN_SLOT,
    LEAST_CAPACITY,
    LEVEL_SHIFT,
    LEVELS,
    NEIGHBOUR,
    NO_EDGE,
    OUT,
    OUT_SLOT,
    SOURCE,
    START,
    TARGET,
    USED,
)


class Link(NamedTuple):
    """An edge as the index must hold it."""

    source: int
    target: int
    flags: int
    confidence: float


def check_index(index: TraversalIndex, links: Mapping[int, Link]) -> None:
    """Compare an index with its edges by number, and check all its invariants."""
    present = [edge for edge in range(len(index.edges)) if index.edges[edge, SOURCE] != NO_EDGE]
    assert set(present) == set(links)
    for edge, link in links.items():
        assert tuple(index.edges[edge, [SOURCE, TARGET]]) == (link.source, link.target)
        assert index.confidence[edge] == link.confidence
    entries: Counter[int] = Counter()
    for node in range(len(index.nodes)):
        for side, near, far, slot in ((OUT, 0, 1, OUT_SLOT), (IN, 1, 0, IN_SLOT)):
            places = _places(index, node, side)
            entries.update(places)
            expected = {
                (link[far], edge, link.flags, int(link.confidence * LEVELS))
                for edge, link in links.items()
                if link[near] == node
            }
            assert _entries(index, node, side) == expected
            assert {int(index.edges[edge, slot]) for _, edge, _, _ in expected} <= set(places)
    assert max(entries.values(), default=1) == 1, "segments overlap"
    assert index.ledger[USED] == len(entries) + index.ledger[GARBAGE]
    assert index.ledger[USED] <= index.pool.shape[1]


def _places(index: TraversalIndex, node: int, side: int) -> range:
    """The places of the pool that a segment owns."""
    start, capacity = int(index.nodes[node, side + START]), int(index.nodes[node, side + CAPACITY])
    assert capacity == 0 or (capacity >= LEAST_CAPACITY and capacity & (capacity - 1) == 0)
    assert index.nodes[node, side + COUNT] <= capacity
    return range(start, start + capacity)


def _entries(index: TraversalIndex, node: int, side: int) -> set[tuple[int, int, int, int]]:
    """A segment's entries; checks that fresh ones come first and that edges know their places."""
    start, fresh, count, _ = index.nodes[node, side : side + 4].tolist()
    found: list[tuple[int, int, int, int]] = []
    for place in range(start, start + count):
        neighbour, edge, flags = (int(index.pool[row, place]) for row in (NEIGHBOUR, EDGE, FLAGS))
        assert bool(flags & STALE) is (place >= start + fresh)
        assert index.edges[edge, OUT_SLOT if side == OUT else IN_SLOT] == place
        found.append((neighbour, edge, flags & (1 << LEVEL_SHIFT) - 1, flags >> LEVEL_SHIFT))
    assert len(set(found)) == count
    return set(found)


def check_graph(graph: DependencyGraph) -> None:
    """Compare what stands beside a graph's digraph with the digraph."""
    edges = {
        edge: (source, target, record)
        for edge, (source, target, record) in graph.digraph.edge_index_map().items()
    }
    links = {
        edge: Link(source, target, record.flags, record.confidence)
        for edge, (source, target, record) in edges.items()
    }
    check_index(graph.index, links)
    payloads = {edge: record.payload for edge, (_, _, record) in edges.items()}
    assert _objects(graph.dependency_payloads.tolist()) == payloads
    records = {node: graph.digraph[node] for node in graph.digraph.node_indices()}
    assert _objects(graph.service_payloads.tolist()) == {node: each.payload for node, each in records.items()}
    assert _objects(graph.service_encoded_ids.tolist()) == {
        node: each.encoded_id for node, each in records.items()
    }
    assert graph.nodes_by_name() == {record.name: node for node, record in records.items()}


def _objects(column: list[object]) -> dict[int, object]:
    return {place: each for place, each in enumerate(column) if each is not None}
