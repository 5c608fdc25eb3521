"""Shortest cycles of random graphs against all cycles that networkx lists. No I/O."""

import random

import networkx as nx
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.analysis.cycles import is_cycle, shortest_cycle
from tests.support.graphs import CONFIDENCES, change_set, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.rows import Tables


def reference_of(rows: Tables, least: float) -> "nx.DiGraph[str]":
    reference: nx.DiGraph[str] = nx.DiGraph()
    reference.add_nodes_from(service.name for service in rows.services.values())
    reference.add_edges_from(
        (rows.name(edge.source), rows.name(edge.target))
        for edge in rows.joined_edges()
        if not edge.stale and edge.confidence >= least
    )
    return reference


def from_the_smallest(cycle: list[str]) -> tuple[str, ...]:
    start = cycle.index(min(cycle))
    return tuple(cycle[start:] + cycle[:start])


def first_of_the_shortest(reference: "nx.DiGraph[str]", members: set[str]) -> tuple[str, ...] | None:
    """By looking at every cycle up to the length of the shortest."""
    inside = reference.subgraph(members)
    for bound in range(2, len(members) + 1):
        found = [from_the_smallest(cycle) for cycle in nx.simple_cycles(inside, length_bound=bound)]
        if found:
            return min(found, key=lambda cycle: (len(cycle), cycle))
    return None


@given_in_both_forms(
    80, tables(max_services=9, max_edges=24), st.sampled_from(CONFIDENCES), st.randoms(use_true_random=False)
)
def test_a_shortest_cycle_is_the_first_of_those_that_networkx_finds(
    rows: Tables, least: float, chance: random.Random
) -> None:
    graph, reference = graph_of(rows), reference_of(rows, least)
    for component in nx.strongly_connected_components(reference):
        members = sorted(component)
        chance.shuffle(members)
        expected = first_of_the_shortest(reference, component)
        found = shortest_cycle(graph, members, min_confidence=least)
        assert found == expected
        if found is None:
            continue
        assert is_cycle(graph, found, min_confidence=least)
        assert shortest_cycle(graph, members, min_confidence=least, shorter_than=len(found)) is None
        longer = shortest_cycle(graph, members, min_confidence=least, shorter_than=len(found) + 1)
        assert longer == expected


@given_in_both_forms(40, tables(max_services=8, max_edges=20), st.randoms(use_true_random=False))
def test_the_order_of_changes_makes_no_difference(rows: Tables, chance: random.Random) -> None:
    edges = list(rows.edges.values())
    chance.shuffle(edges)
    other = DependencyGraph()
    other.apply(change_set(rows.services.values()))
    for edge in edges:
        other.apply(change_set(edges=[edge]))
    members = [service.name for service in rows.services.values()]
    assert shortest_cycle(other, members) == shortest_cycle(graph_of(rows), members)


@given_in_both_forms(
    50,
    tables(max_services=6, max_edges=16),
    st.sampled_from(CONFIDENCES),
    st.lists(st.integers(1, 7), max_size=6),
)
def test_a_path_is_a_cycle_when_networkx_has_each_of_its_edges(
    rows: Tables, least: float, numbers: list[int]
) -> None:
    path = [f"service-{number}" for number in numbers]
    reference = reference_of(rows, least)
    expected = (
        len(path) > 1
        and len(set(path)) == len(path)
        and all(reference.has_edge(path[place - 1], name) for place, name in enumerate(path))
    )
    assert is_cycle(graph_of(rows), path, min_confidence=least) is expected
