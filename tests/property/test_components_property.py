"""Components and the adjacency list against networkx and plain sets. No I/O."""

from itertools import pairwise

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from graphcore import ChangeSet, DependencyGraph, adjacency
from tests.support.examples import examples
from tests.support.graphs import change_set, graph_of, tables
from tests.support.rows import PlainEdge, Tables


def fresh_edges(rows: Tables) -> list[PlainEdge]:
    return [edge for edge in rows.joined_edges() if not edge.stale]


def reference_of(rows: Tables) -> "nx.MultiDiGraph[str]":
    reference: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    reference.add_nodes_from(service.name for service in rows.services.values())
    reference.add_edges_from((rows.name(edge.source), rows.name(edge.target)) for edge in fresh_edges(rows))
    return reference


def assert_right(graph: DependencyGraph, rows: Tables) -> None:
    expected = sorted(
        tuple(sorted(members)) for members in nx.strongly_connected_components(reference_of(rows))
    )
    listed = graph.components.largest_first(1)
    assert sorted(component.members for component in listed) == expected
    assert graph.components.largest_first() == [component for component in listed if component.is_cycle]
    for component in listed:
        inside = [
            edge
            for edge in fresh_edges(rows)
            if {rows.name(edge.source), rows.name(edge.target)} <= set(component.members)
        ]
        assert component.edge_count == len(inside)
        assert component.is_cycle is (len(component.members) > 1)
        assert all(graph.component_of(name) == component for name in component.members)


@examples(200)
@given(tables())
def test_components_are_those_of_networkx(rows: Tables) -> None:
    assert_right(graph_of(rows), rows)


@examples(100)
@given(tables(), st.integers(0, 5))
def test_components_come_largest_first_and_at_least_of_min_size(rows: Tables, min_size: int) -> None:
    listed = graph_of(rows).components.largest_first(min_size)
    order = [(-component.size, component.members[0]) for component in listed]
    assert order == sorted(order)
    sizes = [len(members) for members in nx.strongly_connected_components(reference_of(rows))]
    assert sorted(component.size for component in listed) == sorted(
        size for size in sizes if size >= min_size
    )


def difference(before: Tables, after: Tables) -> ChangeSet:
    return change_set(
        [row for key, row in after.services.items() if before.services.get(key) != row],
        [row for key, row in after.edges.items() if before.edges.get(key) != row],
        before.services.keys() - after.services.keys(),
        before.edges.keys() - after.edges.keys(),
    )


@examples(150)
@given(st.lists(tables(max_services=8, max_edges=20), min_size=2, max_size=6), st.booleans())
def test_components_updated_with_the_graph_are_those_of_networkx(
    states: list[Tables], one_by_one: bool
) -> None:
    graph, held = DependencyGraph(), Tables({}, {})
    graph.components.largest_first()
    for rows in states:
        steps = [rows]
        if one_by_one:
            common = {key: row for key, row in held.edges.items() if rows.edges.get(key) == row}
            steps = [Tables(rows.services, common), rows]
            for key, row in rows.edges.items():
                common = {**common, key: row}
                steps.insert(-1, Tables(rows.services, common))
        for step in steps:
            graph.apply(difference(held, step))
            held = step
            assert_right(graph, step)


@examples(100)
@given(st.lists(tables(max_services=8, max_edges=20), min_size=3, max_size=6))
def test_components_searched_while_the_graph_changed_are_right(
    states: list[Tables],
) -> None:
    graph, held = DependencyGraph(), Tables({}, {})
    for before, meanwhile in pairwise(states):
        graph.apply(difference(held, before))
        search = graph.components.begin()
        graph.apply(difference(before, meanwhile))
        search.run()
        graph.components.adopt(search)
        assert_right(graph, meanwhile)
        held = meanwhile


@examples(100)
@given(tables(), st.data())
def test_components_are_right_after_services_are_removed(rows: Tables, data: st.DataObject) -> None:
    graph = graph_of(rows)
    graph.components.finish()
    gone = data.draw(st.sets(st.sampled_from(list(rows.services))))
    graph.apply(change_set(removed_services=gone))
    left = Tables({key: row for key, row in rows.services.items() if key not in gone}, rows.edges)
    assert_right(graph, left)


@examples(100)
@given(tables(), st.booleans())
def test_the_adjacency_list_has_each_service_with_its_distinct_targets(
    rows: Tables, include_stale: bool
) -> None:
    edges = rows.joined_edges() if include_stale else fresh_edges(rows)
    expected = {
        service.name: tuple(sorted({rows.name(edge.target) for edge in edges if edge.source == service.key}))
        for service in rows.services.values()
    }
    assert list(adjacency(graph_of(rows), include_stale=include_stale)) == sorted(expected.items())
