"""Which events a step finds before the graph moves."""

from collections.abc import Hashable

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.graph.flags import STALE
from server.domain.detection import GraphEvent, GraphEventKind
from server.replica.step import graph_events

A, B, C, D = (ServiceRecord(name.encode(), name) for name in "abcd")
KEY = b"key"
LEAST = 0.5


def edge(
    source: ServiceRecord = A, target: ServiceRecord = B, flags: int = 0, confidence: float = 1.0
) -> DependencyRecord:
    return DependencyRecord(KEY, source.key, target.key, flags, confidence)


async def events(
    before: DependencyRecord | None,
    after: DependencyRecord | None,
    services: dict[bytes, ServiceRecord | None] | None = None,
) -> list[GraphEvent]:
    """Return the events when a dependency changes so, and services with it."""
    graph = DependencyGraph.from_records([A, B, C], [] if before is None else [before])
    changed = services or {}

    def service_after(key: Hashable) -> ServiceRecord | None:
        return changed[key] if isinstance(key, bytes) and key in changed else graph.find_service(key)

    return await graph_events(graph, changed, {KEY: after}, service_after, LEAST)


async def test_a_dependency_is_added_and_removed() -> None:
    assert await events(None, edge()) == [GraphEvent(GraphEventKind.ADDED, "a", "b")]
    assert await events(edge(), None) == [GraphEvent(GraphEventKind.REMOVED, "a", "b")]


async def test_a_dependency_becomes_stale_and_is_observed_again() -> None:
    assert await events(edge(), edge(flags=STALE)) == [GraphEvent(GraphEventKind.STALE, "a", "b")]
    assert await events(edge(flags=STALE), edge()) == [GraphEvent(GraphEventKind.REVIVED, "a", "b")]


async def test_a_confidence_falls_below_the_threshold_and_reaches_it_again() -> None:
    assert await events(edge(confidence=LEAST), edge(confidence=0.49)) == [
        GraphEvent(GraphEventKind.DOUBTED, "a", "b")
    ]
    assert await events(edge(confidence=0.49), edge(confidence=LEAST)) == [
        GraphEvent(GraphEventKind.TRUSTED, "a", "b")
    ]


async def test_no_event_when_a_dependency_counts_as_before_or_never_counts() -> None:
    assert await events(edge(), edge(confidence=0.75)) == []
    assert await events(edge(flags=STALE), None) == []
    assert await events(None, edge(confidence=0.25)) == []
    assert await events(edge(flags=STALE), edge(flags=STALE, confidence=0.25)) == []


async def test_a_dependency_with_another_end_is_removed_and_added() -> None:
    assert await events(edge(), edge(target=C)) == [
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
        GraphEvent(GraphEventKind.ADDED, "a", "c"),
    ]


async def test_renaming_a_service_is_one_event_and_its_dependencies_have_none() -> None:
    renamed = ServiceRecord(B.key, "b2")
    assert await events(edge(), edge(), {b"b": renamed}) == [
        GraphEvent(GraphEventKind.SERVICE_RENAMED, "b", "b2")
    ]


async def test_removing_a_service_removes_its_dependencies() -> None:
    assert await events(edge(), None, {b"b": None}) == [
        GraphEvent(GraphEventKind.SERVICE_REMOVED, "b"),
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
    ]


async def test_a_dependency_whose_end_is_missing_is_removed_until_the_end_exists() -> None:
    assert await events(edge(), edge(), {b"b": None}) == [
        GraphEvent(GraphEventKind.SERVICE_REMOVED, "b"),
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
    ]
    assert await events(edge(target=D), edge(target=D), {b"d": D}) == [
        GraphEvent(GraphEventKind.ADDED, "a", "d")
    ]
