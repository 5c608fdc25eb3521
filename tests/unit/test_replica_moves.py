"""What a step does to dependencies that count, told before the graph moves."""

from collections.abc import Hashable

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.graph.flags import STALE
from server.domain.graph_events import GraphEvent, GraphEventKind
from server.replica.step import moves

A, B, C, D = (ServiceRecord(name.encode(), name) for name in "abcd")
KEY = b"key"
LEAST = 0.5


def edge(
    source: ServiceRecord = A, target: ServiceRecord = B, flags: int = 0, confidence: float = 1.0
) -> DependencyRecord:
    return DependencyRecord(KEY, source.key, target.key, flags, confidence)


async def told(
    before: DependencyRecord | None,
    after: DependencyRecord | None,
    services: dict[bytes, ServiceRecord | None] | None = None,
) -> list[GraphEvent]:
    """What is told when a dependency changes so, and services with it."""
    graph = DependencyGraph.from_records([A, B, C], [] if before is None else [before])
    changed = services or {}

    def afterwards(key: Hashable) -> ServiceRecord | None:
        return changed[key] if isinstance(key, bytes) and key in changed else graph.find_service(key)

    return await moves(graph, changed, {KEY: after}, afterwards, LEAST)


async def test_a_dependency_comes_and_goes() -> None:
    assert await told(None, edge()) == [GraphEvent(GraphEventKind.ADDED, "a", "b")]
    assert await told(edge(), None) == [GraphEvent(GraphEventKind.REMOVED, "a", "b")]


async def test_a_dependency_becomes_stale_and_is_observed_again() -> None:
    assert await told(edge(), edge(flags=STALE)) == [GraphEvent(GraphEventKind.STALE, "a", "b")]
    assert await told(edge(flags=STALE), edge()) == [GraphEvent(GraphEventKind.REVIVED, "a", "b")]


async def test_a_confidence_falls_below_the_least_and_reaches_it_again() -> None:
    assert await told(edge(confidence=LEAST), edge(confidence=0.49)) == [
        GraphEvent(GraphEventKind.DOUBTED, "a", "b")
    ]
    assert await told(edge(confidence=0.49), edge(confidence=LEAST)) == [
        GraphEvent(GraphEventKind.TRUSTED, "a", "b")
    ]


async def test_nothing_is_told_of_what_counts_as_before_or_does_not_count_at_all() -> None:
    assert await told(edge(), edge(confidence=0.75)) == []
    assert await told(edge(flags=STALE), None) == []
    assert await told(None, edge(confidence=0.25)) == []
    assert await told(edge(flags=STALE), edge(flags=STALE, confidence=0.25)) == []


async def test_a_dependency_that_gets_another_end_is_lost_and_gained() -> None:
    assert await told(edge(), edge(target=C)) == [
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
        GraphEvent(GraphEventKind.ADDED, "a", "c"),
    ]


async def test_a_service_that_is_renamed_takes_its_dependencies_along() -> None:
    renamed = ServiceRecord(B.key, "b2")
    assert await told(edge(), edge(), {b"b": renamed}) == [
        GraphEvent(GraphEventKind.SERVICE_RENAMED, "b", "b2")
    ]


async def test_a_service_that_goes_takes_its_dependencies_along() -> None:
    assert await told(edge(), None, {b"b": None}) == [
        GraphEvent(GraphEventKind.SERVICE_REMOVED, "b"),
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
    ]


async def test_a_dependency_that_waits_for_its_end_is_lost_until_that_is_there() -> None:
    assert await told(edge(), edge(), {b"b": None}) == [
        GraphEvent(GraphEventKind.SERVICE_REMOVED, "b"),
        GraphEvent(GraphEventKind.REMOVED, "a", "b"),
    ]
    assert await told(edge(target=D), edge(target=D), {b"d": D}) == [
        GraphEvent(GraphEventKind.ADDED, "a", "d")
    ]
