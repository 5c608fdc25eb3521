"""Shortest simple paths in random graphs, against networkx. No I/O."""

from itertools import islice

import networkx as nx
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.analysis.edge_selection import passing_edges
from graphcore.analysis.paths import ShortestPaths, shortest_paths
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.plain_graphs import counting, digraph
from tests.support.rows import PlainFilter, Tables


@st.composite
def questions(draw: st.DrawFn, max_services: int = 8) -> tuple[Tables, str, str]:
    rows = draw(tables(max_services, 4 * max_services).filter(lambda rows: len(rows.services) > 1))
    names = [service.name for service in rows.services.values()]
    source, target = draw(st.permutations(names))[:2]
    return rows, source, target


def named(graph: DependencyGraph, found: ShortestPaths) -> list[list[str]]:
    return [[graph.digraph[node].name for node in path] for path in found.paths]


@given_in_both_forms(100, questions(), filters(), st.integers(1, 12), st.integers(0, 6))
def test_paths_are_the_first_simple_ones_by_hops_and_names(
    question: tuple[Tables, str, str], chosen: PlainFilter, max_paths: int, max_hops: int
) -> None:
    rows, source, target = question
    graph = graph_of(rows)
    mask = passing_edges(graph, edge_filter(chosen))
    found = shortest_paths(graph, source, target, mask, max_paths=max_paths, max_hops=max_hops)
    calls = digraph(rows, counting(rows, chosen))
    every = list(nx.all_simple_paths(calls, source, target, cutoff=max_hops or None))
    every.sort(key=lambda path: (len(path), path))
    assert named(graph, found) == every[:max_paths]
    assert not found.truncated


@given_in_both_forms(25, questions(max_services=14), st.integers(1, 40))
def test_path_lengths_equal_those_of_networkx(question: tuple[Tables, str, str], max_paths: int) -> None:
    rows, source, target = question
    graph, chosen = graph_of(rows), PlainFilter()
    mask = passing_edges(graph, edge_filter(chosen))
    paths = named(graph, shortest_paths(graph, source, target, mask, max_paths=max_paths))
    calls = digraph(rows, counting(rows, chosen))
    try:
        theirs = list(islice(nx.shortest_simple_paths(calls, source, target), max_paths))
    except nx.NetworkXNoPath:
        theirs = []
    assert [len(path) for path in paths] == [len(path) for path in theirs]
    shorter = [path for path in theirs if len(path) < len(theirs[-1])]
    assert sorted(path for path in paths if len(path) < len(paths[-1])) == sorted(shorter)
    for path in paths:
        assert nx.is_simple_path(calls, path)


@given_in_both_forms(25, questions(), st.integers(1, 12), st.integers(1, 4_000))
def test_a_search_that_ends_early_has_the_first_paths_and_is_truncated(
    question: tuple[Tables, str, str], max_paths: int, max_effort: int
) -> None:
    rows, source, target = question
    graph = graph_of(rows)
    mask = passing_edges(graph, edge_filter(PlainFilter()))
    whole = shortest_paths(graph, source, target, mask, max_paths=max_paths).paths
    cut = shortest_paths(graph, source, target, mask, max_paths=max_paths, max_effort=max_effort)
    assert cut.paths == whole[: len(cut.paths)]
    assert cut.truncated or cut.paths == whole
