"""Components and the example of the package, by example."""

import doctest

import pytest

import graphcore
from graphcore import (
    ChangeSet,
    Component,
    DependencyGraph,
    DependencyRecord,
    EdgeFlag,
    ServiceRecord,
    UnknownServiceError,
)
from graphcore.components import components as components_module


def ring(size: int) -> DependencyGraph:
    services = [ServiceRecord(number, f"s{number}") for number in range(size)]
    calls = [DependencyRecord(number, number, (number + 1) % size) for number in range(size)]
    return DependencyGraph.from_records(services, calls)


def test_a_ring_is_one_component_and_a_cycle() -> None:
    found = ring(3).component_of("s1")
    assert found == Component(("s0", "s1", "s2"), 3)
    assert (found.size, found.is_cycle) == (3, True)


def test_a_ring_broken_by_a_stale_dependency_is_no_cycle() -> None:
    graph = ring(3)
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord(2, 2, 0, int(EdgeFlag.STALE))]))
    found = graph.component_of("s1")
    assert (found.members, found.edge_count, found.is_cycle) == (("s1",), 0, False)
    assert graph.components.largest_first() == []


def test_edge_count_holds_parallel_dependencies_and_leaves_stale_and_outer_ones_out() -> None:
    graph = ring(3)
    graph.apply(
        ChangeSet(
            upserted_services=[ServiceRecord("x", "x")],
            upserted_dependencies=[
                DependencyRecord("parallel", 0, 1),
                DependencyRecord("stale", 0, 1, int(EdgeFlag.STALE)),
                DependencyRecord("outer", 0, "x"),
            ],
        ),
    )
    assert graph.component_of("s0").edge_count == 4


def test_an_unknown_service_has_no_component() -> None:
    with pytest.raises(UnknownServiceError, match="'unknown'"):
        ring(3).component_of("unknown")


def test_a_ring_of_fifty_thousand_services_is_found_without_deep_recursion() -> None:
    assert ring(50_000).component_of("s0").size == 50_000


def test_components_returned_earlier_do_not_change() -> None:
    graph = ring(3)
    found, listed = graph.component_of("s1"), graph.components.largest_first()
    graph.apply(ChangeSet(removed_services=[1]))
    assert found == Component(("s0", "s1", "s2"), 3)
    assert listed == [found]


def test_a_component_is_made_once_until_it_changes() -> None:
    graph = ring(3)
    found = graph.component_of("s1")
    graph.apply(ChangeSet([ServiceRecord("x", "x")], (), [DependencyRecord("xs", "x", 0)]))
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord(0, 0, 1, confidence=0.5, payload="other")]))
    assert graph.component_of("s1") is found
    assert graph.components.largest_first() == [found]


def test_the_members_memo_outlives_changes_of_edges_only() -> None:
    graph = ring(3)
    found = graph.component_of("s1")
    found.memo.members, found.memo.whole = b"members", b"whole"
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord("again", 0, 1)]))
    richer = graph.component_of("s1")
    assert (richer.edge_count, richer.memo.members, richer.memo.whole) == (4, b"members", None)
    assert graph.components.largest_first() == [richer]
    graph.apply(ChangeSet(upserted_services=[ServiceRecord(2, "renamed")]))
    renamed = graph.component_of("renamed")
    assert (renamed.members, renamed.memo.members) == (("renamed", "s0", "s1"), None)


def test_components_are_not_kept_before_the_first_question() -> None:
    graph = ring(3)
    graph.apply(ChangeSet(removed_dependencies=[0]))
    assert graph.components.take_changed_labels() is None
    assert not graph.components.is_known


def test_a_large_graph_is_ready_after_a_search_is_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components_module, "SEARCHED_AT_ONCE", 5)
    graph = ring(3)
    kept = graph.components
    ready_before, search = kept.is_ready, kept.begin()
    graph.apply(ChangeSet(removed_dependencies=[0]))
    search.run()
    assert kept.adopt(search)
    assert (ready_before, kept.is_ready) == (False, True)
    assert graph.components.largest_first() == []


def test_a_large_graph_is_searched_at_the_first_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(components_module, "SEARCHED_AT_ONCE", 0)
    assert ring(3).component_of("s1").size == 3


def test_changed_labels_are_those_since_the_last_call() -> None:
    graph = ring(3)
    graph.component_of("s0")
    kept = graph.components
    assert kept.take_changed_labels() is None
    assert kept.take_changed_labels() == (set(), set())
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord("again", 0, 1)]))
    graph.apply(ChangeSet(upserted_services=[ServiceRecord("x", "x")]))
    touched = kept.take_changed_labels()
    assert touched is not None
    assert (len(touched.reformed), len(touched.recounted)) == (1, 1)


def test_the_doctest_of_the_package_passes() -> None:
    outcome = doctest.testmod(graphcore)
    assert outcome.attempted >= 5
    assert outcome.failed == 0
