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
    components,
)


def ring(size: int) -> DependencyGraph:
    services = [ServiceRecord(number, f"s{number}") for number in range(size)]
    calls = [DependencyRecord(number, number, (number + 1) % size) for number in range(size)]
    return DependencyGraph.from_records(services, calls)


def test_a_ring_is_one_component_and_a_cycle() -> None:
    found = components(ring(3)).of("s1")
    assert found == Component(("s0", "s1", "s2"), 3)
    assert (found.size, found.is_cycle) == (3, True)


def test_a_ring_broken_by_a_stale_dependency_is_no_cycle() -> None:
    graph = ring(3)
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord(2, 2, 0, int(EdgeFlag.STALE))]))
    found = components(graph).of("s1")
    assert (found.members, found.edge_count, found.is_cycle) == (("s1",), 0, False)
    assert components(graph).largest_first() == []


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
    assert components(graph).of("s0").edge_count == 4


def test_a_service_that_is_not_there_has_no_component() -> None:
    with pytest.raises(UnknownServiceError, match="'nobody'"):
        components(ring(3)).of("nobody")


def test_a_ring_of_fifty_thousand_services_is_found_without_deep_recursion() -> None:
    assert components(ring(50_000)).of("s0").size == 50_000


def test_the_example_of_the_package_is_true() -> None:
    outcome = doctest.testmod(graphcore)
    assert outcome.attempted >= 5
    assert outcome.failed == 0
