"""The adjacency list as one goes through it."""

from itertools import islice

from graphcore import ChangeSet, DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord, adjacency


def graph_of(*edges: str) -> DependencyGraph:
    names = sorted({name for edge in edges for name in edge})
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in names],
        [DependencyRecord((place, edge), edge[0], edge[1]) for place, edge in enumerate(edges)],
    )


def test_names_are_sorted_and_targets_distinct() -> None:
    assert list(adjacency(graph_of("cb", "ca", "ca", "bc"))) == [("a", ()), ("b", ("c",)), ("c", ("a", "b"))]


def test_it_is_told_service_by_service() -> None:
    assert list(islice(adjacency(graph_of("ab", "bc")), 2)) == [("a", ("b",)), ("b", ("c",))]


def test_it_stays_what_it_was_while_the_graph_moves_on() -> None:
    graph = graph_of("ab", "bc", "cd")
    told = adjacency(graph)
    graph.apply(ChangeSet(removed_dependencies=[(1, "bc")]))
    first = next(told)
    graph.apply(
        ChangeSet(
            [ServiceRecord("b", "renamed"), ServiceRecord("e", "e")],
            removed_services=["d"],
            upserted_dependencies=[DependencyRecord("ce", "c", "e"), DependencyRecord("ab2", "a", "e")],
        )
    )
    assert [first, *told] == [("a", ("b",)), ("b", ("c",)), ("c", ("d",)), ("d", ())]


def test_stale_dependencies_are_left_out_unless_asked_for() -> None:
    graph = graph_of("ab")
    graph.apply(ChangeSet(upserted_dependencies=[DependencyRecord("s", "b", "a", int(EdgeFlag.STALE))]))
    assert list(adjacency(graph)) == [("a", ("b",)), ("b", ())]
    assert list(adjacency(graph, include_stale=True)) == [("a", ("b",)), ("b", ("a",))]
