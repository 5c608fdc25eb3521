"""Walks and the adjacency list, by example."""

from itertools import islice

import pytest

from graphcore import (
    ChangeSet,
    DependencyGraph,
    DependencyRecord,
    Direction,
    EdgeFilter,
    EdgeFlag,
    ServiceRecord,
    adjacency,
)
from tests.support.traversal import Traversal, traverse


def graph_of(*edges: str, stale: str = "") -> DependencyGraph:
    """``"ab"`` is a dependency of a on b; its key and payload are its position."""
    names = sorted({name for edge in (*edges, stale) for name in edge})
    records = [DependencyRecord(place, edge[0], edge[1], payload=place) for place, edge in enumerate(edges)]
    if stale:
        records.append(DependencyRecord("stale", stale[0], stale[1], int(EdgeFlag.STALE)))
    return DependencyGraph.from_records([ServiceRecord(name, name) for name in names], records)


def depths(found: Traversal) -> list[tuple[str, int]]:
    return [(service.name, depth) for service, depth in zip(found.services, found.depths, strict=True)]


def pairs(found: Traversal) -> list[str]:
    return sorted(dependency.source + dependency.target for dependency in found.dependencies)


def test_a_cycle_back_to_the_start_is_reported_once() -> None:
    found = traverse(graph_of("ab", "bc", "ca"), "a", Direction.DOWNSTREAM, 3)
    assert depths(found) == [("b", 1), ("c", 2)]
    assert pairs(found) == ["ab", "bc", "ca"]


def test_a_dependency_is_reported_only_if_its_near_end_is_nearer_than_the_greatest_depth() -> None:
    found = traverse(graph_of("ab", "bc", "ca"), "a", Direction.DOWNSTREAM, 2)
    assert depths(found) == [("b", 1), ("c", 2)]
    assert pairs(found) == ["ab", "bc"]


def test_upstream_walks_to_the_callers() -> None:
    found = traverse(graph_of("ab", "bc", "xc"), "c", Direction.UPSTREAM, 2)
    assert sorted(depths(found)) == [("a", 2), ("b", 1), ("x", 1)]
    assert pairs(found) == ["ab", "bc", "xc"]


def test_each_parallel_dependency_is_reported() -> None:
    found = traverse(graph_of("ab", "ab"), "a", Direction.DOWNSTREAM, 1)
    assert depths(found) == [("b", 1)]
    assert sorted(
        dependency.payload for dependency in found.dependencies if isinstance(dependency.payload, int)
    ) == [0, 1]


def test_both_directions_do_not_turn_around() -> None:
    found = traverse(graph_of("ab", "xb", "ya", "yz"), "a", Direction.BOTH, 5)
    assert sorted(depths(found)) == [("b", 1), ("y", 1)]
    assert pairs(found) == ["ab", "ya"]


def test_both_directions_give_each_service_its_smaller_depth_downstream_first() -> None:
    found = traverse(graph_of("ua", "ab", "bc", "ca"), "a", Direction.BOTH, 3)
    assert depths(found)[0] == ("b", 1)
    assert sorted(depths(found)[1:]) == [("c", 1), ("u", 1)]
    assert pairs(found) == ["ab", "bc", "ca", "ua"]


def test_a_limit_in_both_directions_keeps_dependencies_that_only_a_whole_walk_finds() -> None:
    # Each caller of a calls x too. These dependencies are upstream ones because x reaches a, which
    # shows only beyond the first two services of the upstream walk.
    graph = graph_of("ax", "xp", "pr", "ra", "rx", "ya", "yx", "za", "zx", "wa", "wx")
    found = traverse(graph, "a", Direction.BOTH, 4, max_services=2)
    assert depths(found)[0] == ("x", 1)
    caller, depth = depths(found)[1]
    assert (caller in {"r", "w", "y", "z"}, depth) == (True, 1)
    assert pairs(found) == sorted(["ax", f"{caller}a", f"{caller}x"])


@pytest.mark.parametrize(
    ("limit", "kept", "truncated"), [(1, 1, True), (2, 2, True), (3, 3, False), (4, 3, False), (0, 3, False)]
)
@pytest.mark.parametrize("with_dependencies", [True, False])
def test_truncated_says_exactly_whether_the_limit_cut_services_off(
    limit: int,
    kept: int,
    truncated: bool,
    with_dependencies: bool,
) -> None:
    found = traverse(
        graph_of("ab", "ac", "ad", "da"),
        "a",
        Direction.DOWNSTREAM,
        3,
        max_services=limit,
        with_dependencies=with_dependencies,
    )
    assert (len(found.services), found.truncated) == (kept, truncated)


def test_stale_dependencies_are_skipped_unless_requested() -> None:
    graph = graph_of("ab", stale="bc")
    assert depths(traverse(graph, "a", Direction.DOWNSTREAM, 5)) == [("b", 1)]
    asked = EdgeFilter.of(include_stale=True)
    assert depths(traverse(graph, "a", Direction.DOWNSTREAM, 5, asked)) == [("b", 1), ("c", 2)]


def test_a_walk_from_an_isolated_service_is_empty() -> None:
    graph = DependencyGraph.from_records([ServiceRecord(1, "alone")])
    assert traverse(graph, "alone", Direction.BOTH, 10) == Traversal([], [], [], truncated=False)


def test_an_answer_does_not_change_with_the_graph() -> None:
    graph = graph_of("ab", "bc")
    found = traverse(graph, "a", Direction.DOWNSTREAM, 2)
    graph.apply(ChangeSet([ServiceRecord("b", "renamed")], ["a", "c"], [], [0]))
    assert depths(found) == [("b", 1), ("c", 2)]
    assert pairs(found) == ["ab", "bc"]


@pytest.mark.parametrize(("max_depth", "max_services"), [(0, 0), (-1, 0), (1, -1)])
def test_bounds_out_of_range_are_refused(max_depth: int, max_services: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        traverse(graph_of("ab"), "a", Direction.DOWNSTREAM, max_depth, max_services=max_services)


def test_adjacency_names_are_sorted_and_targets_distinct() -> None:
    assert list(adjacency(graph_of("cb", "ca", "ca", "bc"))) == [("a", ()), ("b", ("c",)), ("c", ("a", "b"))]


def test_the_adjacency_list_is_an_iterator() -> None:
    assert list(islice(adjacency(graph_of("ab", "bc")), 2)) == [("a", ("b",)), ("b", ("c",))]


def test_the_adjacency_list_shows_the_graph_as_of_the_call() -> None:
    graph = graph_of("ab", "bc", "cd")
    listed = adjacency(graph)
    graph.apply(ChangeSet(removed_dependencies=[1]))
    first = next(listed)
    graph.apply(
        ChangeSet(
            [ServiceRecord("b", "renamed"), ServiceRecord("e", "e")],
            removed_services=["d"],
            upserted_dependencies=[DependencyRecord("ce", "c", "e"), DependencyRecord("ab2", "a", "e")],
        )
    )
    assert [first, *listed] == [("a", ("b",)), ("b", ("c",)), ("c", ("d",)), ("d", ())]


def test_the_adjacency_list_has_stale_dependencies_only_if_requested() -> None:
    graph = graph_of("ab")
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord("s", "b", "a", int(EdgeFlag.STALE))]))
    assert list(adjacency(graph)) == [("a", ("b",)), ("b", ())]
    assert list(adjacency(graph, include_stale=True)) == [("a", ("b",)), ("b", ("a",))]
