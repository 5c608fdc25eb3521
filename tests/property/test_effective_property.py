"""Effective walks and leading edges against rows in dictionaries. No I/O."""

from itertools import pairwise
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphcore import DependencyGraph, Direction, Reach
from graphcore.analysis.edge_selection import effective_edges, parallel_edges
from graphcore.kernels import LEADS
from graphcore.traversal import reach
from tests.support import effective, oracle
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.rows import PlainFilter, Tables
from tests.support.traversal import traverse

DIRECTIONS = st.sampled_from(Direction)
DEPTHS = st.integers(1, 5)


def crowded_tables() -> st.SearchStrategy[Tables]:
    """Few services, so that most pairs are reported by several sources; or as many as elsewhere."""
    return st.sampled_from([3, 4, 10]).flatmap(tables)


@st.composite
def tables_and_start(draw: st.DrawFn) -> tuple[Tables, UUID]:
    rows = draw(crowded_tables())
    return rows, draw(st.sampled_from(list(rows.services)))


def depths_by_name(graph: DependencyGraph, found: Reach) -> dict[str, int]:
    names = [graph.digraph[node].name for node in found.nodes.tolist()]
    depths = [depth for depth, count in enumerate(found.depth_counts, 1) for _ in range(count)]
    assert len(set(names)) == len(names)
    return dict(zip(names, depths, strict=True))


def keys(graph: DependencyGraph, edges: NDArray[np.int32]) -> set[UUID]:
    """The keys of edges, after checking that none comes twice."""
    found = graph.dependency_payloads[edges].tolist()
    assert len(set(found)) == len(found)
    return set(found)


@given_in_both_forms(150, tables_and_start(), DIRECTIONS, DEPTHS, filters())
def test_a_walk_finds_what_a_plain_search_over_leading_edges_finds(
    rows_and_start: tuple[Tables, UUID], direction: Direction, max_depth: int, chosen: PlainFilter
) -> None:
    rows, start = rows_and_start
    graph = graph_of(rows)
    found = reach(graph, rows.name(start), direction, max_depth, edge_filter(chosen), effective=True)
    expected = effective.reached(rows, start, direction.value, max_depth, chosen)
    assert depths_by_name(graph, found) == expected.depths
    assert keys(graph, found.edges) == expected.edges
    assert not found.truncated
    bare = reach(
        graph,
        rows.name(start),
        direction,
        max_depth,
        edge_filter(chosen),
        with_dependencies=False,
        effective=True,
    )
    assert (bare.nodes.tolist(), bare.depth_counts) == (found.nodes.tolist(), found.depth_counts)
    assert not len(bare.edges)


@given_in_both_forms(80, tables_and_start(), DIRECTIONS, DEPTHS, filters(), st.integers(1, 6))
def test_a_limit_keeps_the_head_of_the_order_and_the_pairs_within(
    rows_and_start: tuple[Tables, UUID], direction: Direction, max_depth: int, chosen: PlainFilter, limit: int
) -> None:
    rows, start = rows_and_start
    graph, name, passing = graph_of(rows), rows.name(start), edge_filter(chosen)
    whole = reach(graph, name, direction, max_depth, passing, effective=True)
    cut = reach(graph, name, direction, max_depth, passing, max_services=limit, effective=True)
    assert cut.nodes.tolist() == whole.nodes.tolist()[:limit]
    assert cut.truncated is (len(whole.nodes) > limit)
    expected = effective.reached(rows, start, direction.value, max_depth, chosen)
    within = {name, *depths_by_name(graph, cut)}
    assert keys(graph, cut.edges) == oracle.edges_within(rows, expected.edges, within)


@given_in_both_forms(100, crowded_tables(), filters())
def test_each_pair_has_one_leading_edge_and_all_parallel_ones_are_found(
    rows: Tables, chosen: PlainFilter
) -> None:
    graph, passing = graph_of(rows), edge_filter(chosen)
    mask = effective_edges(graph, passing)
    assert len(mask) == len(graph.index.edges)
    chosen_edges = np.flatnonzero(mask).astype(np.int32)
    leads = effective.leading(rows, chosen)
    assert keys(graph, chosen_edges) == leads.keys()
    found = parallel_edges(graph, chosen_edges, passing)
    expected = effective.taking_part(rows, chosen)
    for lead, (start, end) in zip(chosen_edges.tolist(), pairwise(found.starts.tolist()), strict=True):
        edge = leads[graph.dependency_payloads[lead]]
        beside = keys(graph, found.edges[start:end])
        assert beside == {other.key for other in expected[edge.source, edge.target]}


@given_in_both_forms(40, tables_and_start(), DIRECTIONS, filters())
def test_plain_walks_are_right_after_effective_walks(
    rows_and_start: tuple[Tables, UUID], direction: Direction, chosen: PlainFilter
) -> None:
    rows, start = rows_and_start
    graph, name, passing = graph_of(rows), rows.name(start), edge_filter(chosen)
    for max_depth in (1, 3):
        first = reach(graph, name, direction, max_depth, passing, max_services=3, effective=True)
        assert not graph.index.walks.rows[LEADS].any()
        plain = traverse(graph, name, direction, max_depth, passing)
        expected = oracle.reached(rows, start, direction.value, max_depth, chosen)
        assert {service.name for service in plain.services} == expected.depths.keys()
        again = reach(graph, name, direction, max_depth, passing, max_services=3, effective=True)
        assert (again.nodes.tolist(), again.edges.tolist()) == (first.nodes.tolist(), first.edges.tolist())
