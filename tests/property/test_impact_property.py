"""Blast radii of random graphs against networkx searches and all paths. No I/O."""

from itertools import pairwise

import networkx as nx
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.analysis.edge_selection import effective_edges, passing_edges
from graphcore.analysis.impact import Impact, impact_of
from tests.support.effective import leading
from tests.support.graphs import edge_filter, filters, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.plain_graphs import counting, digraph
from tests.support.rows import PlainFilter, Tables

STRENGTH = {"soft": 1, "degraded": 2, "unknown": 3, "hard": 4}
BOUNDS = st.sampled_from([0, 0, 1, 2, 3])


@st.composite
def questions(draw: st.DrawFn) -> tuple[Tables, str, PlainFilter]:
    rows = draw(tables())
    return rows, rows.name(draw(st.sampled_from(list(rows.services)))), draw(filters())


def impact(
    graph: DependencyGraph, start: str, chosen: PlainFilter, max_hops: int, *, effective: bool = False
) -> Impact:
    mask = (effective_edges if effective else passing_edges)(graph, edge_filter(chosen))
    return impact_of(graph, start, mask, max_hops)


def names_of(graph: DependencyGraph, found: Impact) -> list[str]:
    return [graph.digraph[node].name for node in found.nodes.tolist()]


def distances(callers: "nx.DiGraph[str]", start: str, max_hops: int) -> dict[str, int]:
    """Hops by name of everybody who reaches the start."""
    found = dict(nx.single_source_shortest_path_length(callers.reverse(), start, max_hops or None))
    del found[start]
    return found


@given_in_both_forms(120, questions(), BOUNDS, st.booleans())
def test_impact_equals_a_plain_upstream_search_for_each_strength(
    question: tuple[Tables, str, PlainFilter], max_hops: int, effective: bool
) -> None:
    rows, start, chosen = question
    graph = graph_of(rows)
    found = impact(graph, start, chosen, max_hops, effective=effective)
    names = names_of(graph, found)
    edges = list(leading(rows, chosen).values()) if effective else counting(rows, chosen)
    for hops, kept in (
        (found.hops, edges),
        (found.hard_hops, [edge for edge in edges if edge.criticality == "hard"]),
        (found.unknown_hops, [edge for edge in edges if edge.criticality in {"hard", "unknown"}]),
        (found.degraded_hops, [edge for edge in edges if edge.criticality != "soft"]),
        (found.sync_hops, [edge for edge in edges if edge.mode == "sync"]),
        (found.maybe_sync_hops, [edge for edge in edges if edge.mode != "async"]),
    ):
        expected = distances(digraph(rows, kept), start, max_hops)
        assert {name: far for name, far in zip(names, hops.tolist(), strict=True) if far} == expected
    assert len(set(names)) == len(names)


@given_in_both_forms(50, questions(), BOUNDS)
def test_services_are_sorted_and_paths_are_the_first_of_the_shortest(
    question: tuple[Tables, str, PlainFilter], max_hops: int
) -> None:
    rows, start, chosen = question
    graph = graph_of(rows)
    found = impact(graph, start, chosen, max_hops)
    names = names_of(graph, found)
    assert list(zip(found.hops.tolist(), names, strict=True)) == sorted(
        zip(found.hops.tolist(), names, strict=True)
    )
    calls = digraph(rows, counting(rows, chosen))
    for position, name in enumerate(names):
        path, step = [name], found.steps[position]
        while step >= 0:
            path.append(names[step])
            step = found.steps[step]
        assert [*path, start] == min(nx.all_shortest_paths(calls, name, start))


@given_in_both_forms(50, tables(max_services=6, max_edges=16), filters(), BOUNDS)
def test_the_best_path_is_as_strong_as_its_weakest_dependency(
    rows: Tables, chosen: PlainFilter, max_hops: int
) -> None:
    graph, start = graph_of(rows), next(iter(rows.services.values())).name
    found = impact(graph, start, chosen, max_hops)
    edges = counting(rows, chosen)
    best: dict[tuple[str, str], int] = {}
    for edge in edges:
        pair = rows.name(edge.source), rows.name(edge.target)
        best[pair] = max(best.get(pair, 0), STRENGTH[edge.criticality])
    calls = digraph(rows, edges)
    for position, name in enumerate(names_of(graph, found)):
        expected = max(
            min(best[pair] for pair in pairwise(path))
            for path in nx.all_simple_paths(calls, name, start, cutoff=max_hops or None)
        )
        hops = (found.degraded_hops, found.unknown_hops, found.hard_hops)
        assert 1 + sum(bool(column[position]) for column in hops) == expected


@given_in_both_forms(20, questions(), BOUNDS)
def test_unordered_impact_finds_the_same_services(
    question: tuple[Tables, str, PlainFilter], max_hops: int
) -> None:
    rows, start, chosen = question
    graph = graph_of(rows)
    mask = passing_edges(graph, edge_filter(chosen))
    whole = impact_of(graph, start, mask, max_hops)
    bare = impact_of(graph, start, mask, max_hops, ordered=False)
    assert len(bare.steps) == 0
    columns = ("nodes", "hops", "hard_hops", "unknown_hops", "degraded_hops", "sync_hops", "maybe_sync_hops")
    rows_of = [
        sorted(zip(*(getattr(found, column).tolist() for column in columns), strict=True))
        for found in (whole, bare)
    ]
    assert rows_of[0] == rows_of[1]
