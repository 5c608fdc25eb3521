"""Traversals of random graphs against a plain search and against networkx. No I/O."""

import math
from uuid import UUID

import networkx as nx
from hypothesis import strategies as st

from graphcore import DependencyGraph, DependencyRecord, Direction, EdgeFilter, ServiceRecord
from tests.support import oracle
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.rows import PlainFilter, Tables
from tests.support.traversal import Traversal, traverse

DIRECTIONS = st.sampled_from(Direction)
DEPTHS = st.integers(1, 10)


@st.composite
def tables_and_start(draw: st.DrawFn) -> tuple[Tables, UUID]:
    rows = draw(tables())
    return rows, draw(st.sampled_from(list(rows.services)))


def depths_by_name(found: Traversal) -> dict[str, int]:
    return {service.name: depth for service, depth in zip(found.services, found.depths, strict=True)}


def edge_keys(found: Traversal, rows: Tables) -> set[UUID]:
    """Return the dependencies' keys; asserts that they are distinct and have the right ends."""
    keys: set[UUID] = set()
    for dependency in found.dependencies:
        assert isinstance(dependency.payload, UUID)
        edge = rows.edges[dependency.payload]
        assert (dependency.source, dependency.target) == (rows.name(edge.source), rows.name(edge.target))
        assert edge.key not in keys
        keys.add(edge.key)
    return keys


@given_in_both_forms(250, tables_and_start(), DIRECTIONS, DEPTHS, filters())
def test_a_walk_equals_a_plain_search_over_the_rows(
    rows_and_start: tuple[Tables, UUID],
    direction: Direction,
    max_depth: int,
    chosen: PlainFilter,
) -> None:
    rows, start = rows_and_start
    found = traverse(graph_of(rows), rows.name(start), direction, max_depth, edge_filter(chosen))
    expected = oracle.reached(rows, start, direction.value, max_depth, chosen)
    assert depths_by_name(found) == expected.depths
    assert len(found.services) == len(expected.depths)
    assert edge_keys(found, rows) == expected.edges
    assert found.depths == sorted(found.depths)
    assert not found.truncated


@given_in_both_forms(200, tables_and_start(), DIRECTIONS, DEPTHS, filters(), st.integers(1, 12))
def test_a_limit_keeps_the_head_of_the_order_and_the_dependencies_within(
    rows_and_start: tuple[Tables, UUID],
    direction: Direction,
    max_depth: int,
    chosen: PlainFilter,
    limit: int,
) -> None:
    rows, start = rows_and_start
    graph, name, passing = graph_of(rows), rows.name(start), edge_filter(chosen)
    whole = traverse(graph, name, direction, max_depth, passing)
    cut = traverse(graph, name, direction, max_depth, passing, max_services=limit)
    assert cut.services == whole.services[:limit]
    assert cut.depths == whole.depths[:limit]
    assert cut.truncated is (len(whole.services) > limit)
    names = {name} | {service.name for service in cut.services}
    expected = oracle.reached(rows, start, direction.value, max_depth, chosen)
    assert edge_keys(cut, rows) == oracle.edges_within(rows, expected.edges, names)


@given_in_both_forms(150, tables_and_start(), DIRECTIONS, DEPTHS, filters(), st.integers(0, 12))
def test_walks_without_dependencies_find_the_same_services(
    rows_and_start: tuple[Tables, UUID],
    direction: Direction,
    max_depth: int,
    chosen: PlainFilter,
    limit: int,
) -> None:
    rows, start = rows_and_start
    graph, name, passing = graph_of(rows), rows.name(start), edge_filter(chosen)
    full = traverse(graph, name, direction, max_depth, passing, max_services=limit)
    bare = traverse(graph, name, direction, max_depth, passing, max_services=limit, with_dependencies=False)
    assert (bare.services, bare.depths, bare.truncated) == (full.services, full.depths, full.truncated)
    assert bare.dependencies == []


@given_in_both_forms(150, tables_and_start(), st.booleans(), DEPTHS, filters())
def test_services_come_in_breadth_first_order(
    rows_and_start: tuple[Tables, UUID],
    upstream: bool,
    max_depth: int,
    chosen: PlainFilter,
) -> None:
    rows, start = rows_and_start
    direction = Direction.UPSTREAM if upstream else Direction.DOWNSTREAM
    found = traverse(graph_of(rows), rows.name(start), direction, max_depth, edge_filter(chosen))
    edges = [edge for edge in rows.joined_edges() if chosen.admits(edge)]
    if upstream:
        edges = [edge._replace(source=edge.target, target=edge.source) for edge in edges]
    order = [service.name for service in found.services]
    assert oracle.is_breadth_first(rows, order, found.depths, rows.name(start), edges)


@given_in_both_forms(150, tables_and_start(), DEPTHS, st.booleans())
def test_depths_are_the_shortest_path_lengths_of_networkx(
    rows_and_start: tuple[Tables, UUID],
    max_depth: int,
    include_stale: bool,
) -> None:
    rows, start = rows_and_start
    chosen = PlainFilter(include_stale=include_stale)
    reference: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    reference.add_nodes_from(service.name for service in rows.services.values())
    reference.add_edges_from(
        (rows.name(edge.source), rows.name(edge.target))
        for edge in rows.edges.values()
        if chosen.admits(edge)
    )
    graph, name = graph_of(rows), rows.name(start)
    for direction, walked in ((Direction.DOWNSTREAM, reference), (Direction.UPSTREAM, reference.reverse())):
        lengths = dict(nx.single_source_shortest_path_length(walked, name, cutoff=max_depth))
        del lengths[name]
        assert depths_by_name(traverse(graph, name, direction, max_depth, edge_filter(chosen))) == lengths


SHARES = st.floats(0, 1)


@st.composite
def close_shares(draw: st.DrawFn) -> tuple[float, float]:
    """Two numbers that differ in their last digits only, if at all, near a round one or not."""
    share = draw(st.one_of(SHARES, st.integers(0, 1 << 16).map(lambda number: number / (1 << 16))))
    others = [share, math.nextafter(share, 0), math.nextafter(share, 1)]
    return share, draw(st.sampled_from(others))


@given_in_both_forms(200, st.one_of(close_shares(), st.tuples(SHARES, SHARES)))
def test_a_dependency_passes_from_the_least_confidence_on(shares: tuple[float, float]) -> None:
    confidence, least = shares
    graph = DependencyGraph.from_records(
        [ServiceRecord("a", "a"), ServiceRecord("b", "b")],
        [DependencyRecord("ab", "a", "b", confidence=confidence)],
    )
    found = traverse(graph, "a", Direction.DOWNSTREAM, 1, EdgeFilter(min_confidence=least))
    assert len(found.services) == len(found.dependencies) == (confidence >= least)
