"""Components over confident dependencies against networkx, through random changes. No I/O."""

from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph, GraphBuilder, split_changes
from tests.support.edits import difference
from tests.support.examples import examples
from tests.support.graphs import CONFIDENCES, tables
from tests.support.rows import Tables

FLOORS = st.sampled_from((0.25, 0.4, 0.75, 1.0))
# Few services and keys, so that the same dependency often changes confidence and staleness.
STATES = st.lists(tables(max_services=7, max_edges=24), min_size=2, max_size=7)


def expected(rows: Tables, floor: float) -> list[tuple[tuple[str, ...], int]]:
    counting = [
        (rows.name(edge.source), rows.name(edge.target))
        for edge in rows.joined_edges()
        if not edge.stale and edge.confidence >= floor
    ]
    reference: nx.DiGraph[str] = nx.DiGraph()
    reference.add_nodes_from(service.name for service in rows.services.values())
    reference.add_edges_from(counting)
    return sorted(
        (tuple(sorted(members)), sum(members.issuperset(pair) for pair in counting))
        for members in nx.strongly_connected_components(reference)
    )


def kept(graph: DependencyGraph) -> list[tuple[tuple[str, ...], int]]:
    listed = graph.confident_components.largest_first(1)
    assert graph.confident_components.largest_first(2) == [each for each in listed if each.is_cycle]
    return sorted((component.members, component.edge_count) for component in listed)


def all_kept(graph: DependencyGraph) -> list[tuple[tuple[str, ...], int]]:
    return sorted((each.members, each.edge_count) for each in graph.components.largest_first(1))


def copied(graph: DependencyGraph) -> DependencyGraph:
    steps = graph.copying(graph.index.roomier(graph.dependency_count, 10))
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            copy: DependencyGraph = ended.value
            return copy


@examples(80)
@given(STATES, FLOORS, st.booleans())
def test_confident_components_are_those_of_networkx_after_every_change_set(
    states: list[Tables], floor: float, one_by_one: bool
) -> None:
    graph, held = DependencyGraph(cycle_confidence=floor), Tables({}, {})
    assert kept(graph) == all_kept(graph) == []
    for rows in states:
        changes = difference(held, rows, unchanged_too=False)
        for part in split_changes(graph, changes, 1) if one_by_one else [changes]:
            graph.apply(part)
        held = rows
        assert kept(graph) == expected(rows, floor)
        assert all_kept(graph) == expected(rows, 0.0)


@examples(40)
@given(STATES, FLOORS)
def test_a_copy_has_the_cycle_confidence_of_its_original(states: list[Tables], floor: float) -> None:
    graph = DependencyGraph(cycle_confidence=floor)
    for before, after in pairwise([Tables({}, {}), *states]):
        graph = copied(graph)
        search = graph.confident_components.begin()
        graph.apply(difference(before, after, unchanged_too=False))
        search.run()
        graph.confident_components.adopt(search)
        assert kept(graph) == expected(after, floor)


@pytest.mark.parametrize("floor", CONFIDENCES)
def test_without_cycle_confidence_there_is_one_set_of_components(floor: float) -> None:
    built = GraphBuilder(cycle_confidence=floor)
    built.build_index()
    for graph in (DependencyGraph(cycle_confidence=floor), built.graph()):
        assert (graph.confident_components is graph.components) is (floor == 0.0)
