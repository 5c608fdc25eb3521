"""Any way of changing the graph ends where a build from the final rows ends. No I/O."""

from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph, Direction, EdgeFilter, adjacency
from tests.support import oracle
from tests.support.edits import ALIASES, NAMES, OTHER_NAMES, Edit, difference, edits, populations, snapshot
from tests.support.examples import examples
from tests.support.graphs import graph_of, kinds_of
from tests.support.rows import PlainFilter, Tables
from tests.support.traversal import traverse

ALL = EdgeFilter.of(include_stale=True)


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
        "by key": [graph.find_service(record.key) for record in sorted(graph.services())],
        "dependencies": sorted(graph.dependencies()),
        "waiting": sorted(graph.dangling_dependencies()),
        "kinds": kinds_of(graph),
        "counts": (graph.service_count, graph.dependency_count, graph.dangling_count, graph.stale_count),
        "aliases": [graph.find_alias(key) for key in ALIASES],
        "resolved": [graph.resolve(name) for name in OTHER_NAMES],
        "aliases of": [graph.aliases_of(name) for name in names],
        "adjacency": (list(adjacency(graph)), list(adjacency(graph, include_stale=True))),
        "components": graph.components.largest_first(1),
        "walks": {
            asked: (sorted(zip(found.depths, found.services, strict=True)), sorted(found.dependencies))
            for asked, found in walks.items()
        },
    }


def assert_resolves(graph: DependencyGraph, rows: Tables) -> None:
    """Compare names and aliases with the rows."""
    assert graph.alias_count == len(rows.aliases)
    for name in [*NAMES, *OTHER_NAMES, "none"]:
        assert graph.resolve(name) == rows.resolve(name)
    for key, service in rows.services.items():
        others = sorted(alias.name for alias in rows.aliases.values() if alias.service == key)
        assert graph.aliases_of(service.name) == others


@examples(150)
@given(populations(), st.lists(st.tuples(st.lists(edits(), max_size=12), st.booleans()), max_size=8))
def test_change_sets_in_any_grouping_equal_a_build_from_the_final_rows(
    rows: Tables, groups: list[tuple[list[Edit], bool]]
) -> None:
    graph = graph_of(rows)
    for group, unchanged_too in groups:
        before = snapshot(rows)
        for edit in group:
            edit(rows)
        graph.apply(difference(before, rows, unchanged_too))
        assert graph.service_count == len(rows.services)
        assert graph.dependency_count == len(rows.joined_edges())
        assert graph.dangling_count == len(rows.edges) - len(rows.joined_edges())
        assert_resolves(graph, rows)
    assert observed(graph) == observed(graph_of(rows))


@examples(100)
@given(populations(), st.lists(edits(), max_size=60))
def test_a_graph_changed_edit_by_edit_answers_from_the_final_rows(rows: Tables, steps: list[Edit]) -> None:
    graph = graph_of(rows)
    for edit in steps:
        before = snapshot(rows)
        edit(rows)
        graph.apply(difference(before, rows, unchanged_too=False))
        # Asked after every step, so that an answer remembered too long shows up.
        assert len(graph.components.largest_first(1)) <= len(rows.services)
    for key, service in rows.services.items():
        for direction in Direction:
            found = traverse(graph, service.name, direction, 10)
            expected = oracle.reached(rows, key, direction.value, 10, PlainFilter())
            assert {record.name for record in found.services} == set(expected.depths)
            assert {dependency.payload for dependency in found.dependencies} == expected.edges
    assert graph.components.largest_first(1) == graph_of(rows).components.largest_first(1)


@examples(100)
@given(populations(), st.lists(edits(), max_size=40))
def test_applying_the_final_rows_again_changes_nothing(rows: Tables, steps: list[Edit]) -> None:
    for edit in steps:
        edit(rows)
    graph = graph_of(rows)
    before = graph.components.largest_first()
    graph.apply(difference(Tables({}, {}), rows, unchanged_too=True))
    now = graph.components.largest_first()
    assert all(same is former for same, former in zip(now, before, strict=True))
