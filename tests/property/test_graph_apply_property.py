"""Any way of changing the graph ends where a build from the final rows ends. No I/O."""

from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from graphcore import ChangeSet, DependencyGraph, Direction, EdgeFilter, adjacency, components, traverse
from tests.support import oracle
from tests.support.graphs import change_set, graph_of, plain_edges
from tests.support.rows import PlainEdge, PlainFilter, PlainService, Tables

SERVICES = [UUID(int=number) for number in range(1, 8)]
EDGES = [UUID(int=number) for number in range(101, 116)]
NAMES = [f"name-{number}" for number in range(8)]
ALL = EdgeFilter.of(include_stale=True)

Edit: TypeAlias = Callable[[Tables], None]


def put_service(key: UUID, name: str) -> Edit:
    """Create or rename a service; whoever has the name gets the one given up for it, or goes if there is none."""

    def edit(rows: Tables) -> None:
        former = rows.services.get(key)
        for other in [other for other in rows.services.values() if other.name == name and other.key != key]:
            if former is None:
                del rows.services[other.key]
            else:
                rows.services[other.key] = other._replace(name=former.name)
        rows.services[key] = PlainService(key, name)

    return edit


def remove_service(key: UUID, cascade: bool) -> Edit:
    def edit(rows: Tables) -> None:
        rows.services.pop(key, None)
        for edge in list(rows.edges.values()):
            if cascade and key in {edge.source, edge.target}:
                del rows.edges[edge.key]

    return edit


def put_edge(edge: PlainEdge) -> Edit:
    def edit(rows: Tables) -> None:
        rows.edges[edge.key] = edge

    return edit


def remove_edge(key: UUID) -> Edit:
    def edit(rows: Tables) -> None:
        rows.edges.pop(key, None)

    return edit


def edits() -> st.SearchStrategy[Edit]:
    service, edge = st.sampled_from(SERVICES), st.sampled_from(EDGES)
    edges = plain_edges(edge, service)
    return st.one_of(
        st.builds(put_service, service, st.sampled_from(NAMES)),
        st.builds(put_edge, edges),
        st.builds(put_edge, edges),
        st.builds(remove_service, service, st.booleans()),
        st.builds(remove_edge, edge),
    )


def difference(before: Tables, after: Tables, unchanged_too: bool) -> ChangeSet:
    """What a feed would report; with ``unchanged_too`` also rows that are as they were and keys that never were."""
    return change_set(
        [row for row in after.services.values() if unchanged_too or before.services.get(row.key) != row],
        [row for row in after.edges.values() if unchanged_too or before.edges.get(row.key) != row],
        [key for key in (SERVICES if unchanged_too else before.services) if key not in after.services],
        [key for key in (EDGES if unchanged_too else before.edges) if key not in after.edges],
    )


def snapshot(rows: Tables) -> Tables:
    return Tables(dict(rows.services), dict(rows.edges))


def observed(graph: DependencyGraph) -> dict[str, object]:
    """Everything one can ask of a graph, but for the order of services of one depth."""
    names = sorted(service.name for service in graph.services())
    walks = {
        (name, direction, depth): traverse(graph, name, direction, depth, passing)
        for name in names
        for direction in Direction
        for depth in (1, 2, 5)
        for passing in (EdgeFilter(), ALL)
    }
    return {
        "services": sorted(graph.services()),
        "by name": [graph.service(name) for name in names],
        "by key": [graph.service_by_key(record.key) for record in sorted(graph.services())],
        "dependencies": sorted(graph.dependencies()),
        "waiting": sorted(graph.waiting_dependencies()),
        "counts": (graph.service_count, graph.dependency_count, graph.waiting_count, graph.stale_count),
        "adjacency": (list(adjacency(graph)), list(adjacency(graph, include_stale=True))),
        "components": components(graph).largest_first(1),
        "walks": {
            asked: (sorted(zip(found.depths, found.services, strict=True)), sorted(found.dependencies))
            for asked, found in walks.items()
        },
    }


@settings(max_examples=150)
@given(st.lists(st.tuples(st.lists(edits(), max_size=12), st.booleans()), max_size=8))
def test_change_sets_in_any_grouping_end_where_a_build_from_the_final_rows_ends(
    groups: list[tuple[list[Edit], bool]],
) -> None:
    rows, graph = Tables({}, {}), DependencyGraph()
    for group, unchanged_too in groups:
        before = snapshot(rows)
        for edit in group:
            edit(rows)
        graph.apply(difference(before, rows, unchanged_too))
        assert graph.service_count == len(rows.services)
        assert graph.dependency_count == len(rows.joined_edges())
        assert graph.waiting_count == len(rows.edges) - len(rows.joined_edges())
    assert observed(graph) == observed(graph_of(rows))


@settings(max_examples=100)
@given(st.lists(edits(), max_size=60))
def test_a_graph_changed_edit_by_edit_answers_as_the_final_rows_say(steps: list[Edit]) -> None:
    rows, graph = Tables({}, {}), DependencyGraph()
    for edit in steps:
        before = snapshot(rows)
        edit(rows)
        graph.apply(difference(before, rows, unchanged_too=False))
        # Asked after every step, so that an answer remembered too long shows up.
        assert len(components(graph).largest_first(1)) <= len(rows.services)
    for key, service in rows.services.items():
        for direction in Direction:
            found = traverse(graph, service.name, direction, 10)
            expected = oracle.reached(rows, key, direction.value, 10, PlainFilter())
            assert {record.name for record in found.services} == set(expected.depths)
            assert {dependency.payload for dependency in found.dependencies} == expected.edges
    assert components(graph).largest_first(1) == components(graph_of(rows)).largest_first(1)


@settings(max_examples=100)
@given(st.lists(edits(), max_size=40))
def test_applying_the_final_rows_once_more_changes_nothing(steps: list[Edit]) -> None:
    rows = Tables({}, {})
    for edit in steps:
        edit(rows)
    graph = graph_of(rows)
    version, remembered = graph.version, components(graph)
    graph.apply(difference(Tables({}, {}), rows, unchanged_too=True))
    assert graph.version == version
    assert components(graph) is remembered
