"""Answers cut into parts: nothing lost, nothing twice, nothing larger than allowed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import GetAdjacencyListResponse, StreamTraverseResponse, TraverseResponse
from graphcore import ServiceRecord, Traversal, TraversedDependency
from server.domain.consistency import Freshness
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.rpc.graph_parts import Found, TraversalParts, adjacency_messages, least_bytes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FRESHNESS = Freshness("revision", timedelta(milliseconds=3))


def found(service_count: int, dependency_count: int, metadata: str = "{}") -> Found:
    """A walk over so many services and dependencies; it need not make sense as a graph."""
    services = [
        ServiceRecord(place, f"service {place}", service(place, metadata)) for place in range(service_count)
    ]
    dependencies = [
        TraversedDependency(f"service {place}", "start", dependency(place))
        for place in range(dependency_count)
    ]
    depths = [1 + place // 7 for place in range(service_count)]
    return Found(Traversal(services, [min(depth, 10) for depth in depths], dependencies, True), FRESHNESS)


def service(place: int, metadata: str) -> Service:
    return Service(UUID(int=place), f"service {place}", metadata, "low", None, False, NOW, NOW)


def dependency(place: int) -> DependencyRow:
    key = UUID(int=place)
    return DependencyRow(key, key, key, "sync", "hard", None, None, None, "manual", 1.0, NOW, False, NOW, NOW)


async def stream(walk: Found, max_bytes: int, *, full: bool = True) -> list[StreamTraverseResponse]:
    parts = TraversalParts(walk, StreamTraverseResponse, max_bytes, full=full)
    taken = []
    while not parts.exhausted:
        taken.append(await parts.take())
    return taken


async def whole(walk: Found, *, full: bool = True) -> TraverseResponse:
    return await TraversalParts(walk, TraverseResponse, 2**40, full=full).take()


def joined(parts: list[StreamTraverseResponse]) -> TraverseResponse:
    """Append the parts' fields, which is what protobuf does when it reads their bytes in a row."""
    return TraverseResponse.FromString(b"".join(part.SerializeToString() for part in parts))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(200, 4_000), st.booleans())
async def test_parts_in_a_row_are_the_whole_answer(
    services: int, dependencies: int, max_bytes: int, full: bool
) -> None:
    walk = found(services, dependencies if full else 0)
    parts = await stream(walk, max_bytes, full=full)
    assert joined(parts) == await whole(walk, full=full)
    assert all(part.ByteSize() <= max_bytes for part in parts)


async def test_parts_are_filled_before_another_begins() -> None:
    walk = found(500, 500)
    parts = await stream(walk, 4_000)
    assert all(part.ByteSize() > 3_700 for part in parts[:-1])


async def test_freshness_stands_in_the_first_part_and_truncated_in_all() -> None:
    parts = await stream(found(50, 50), 2_000)
    assert len(parts) > 3
    assert [part.HasField("freshness") for part in parts] == [True] + [False] * (len(parts) - 1)
    assert all(part.truncated for part in parts)


async def test_services_come_before_dependencies() -> None:
    parts = await stream(found(40, 40), 1_500)
    last_with_services = max(place for place, part in enumerate(parts) if part.services)
    first_with_dependencies = min(place for place, part in enumerate(parts) if part.dependencies)
    assert last_with_services <= first_with_dependencies


async def test_nothing_found_is_one_part() -> None:
    [part] = await stream(found(0, 0), 1_000)
    assert part.freshness.revision == "revision"


async def test_a_record_larger_than_a_part_comes_alone() -> None:
    walk = found(3, 1, metadata='{"a": "' + "x" * 5_000 + '"}')
    parts = await stream(walk, 2_000)
    assert [len(part.services) for part in parts] == [1, 1, 1, 0]
    assert joined(parts) == await whole(walk)


async def test_ids_alone_hold_no_records() -> None:
    answer = await whole(found(5, 0), full=False)
    assert (len(answer.service_ids), len(answer.depths), len(answer.services)) == (5, 5, 0)


@given(st.integers(0, 30), st.integers(0, 30))
async def test_the_estimate_from_below_never_exceeds_the_size(services: int, dependencies: int) -> None:
    walk = found(services, dependencies)
    assert least_bytes(walk.traversal, full=True) <= (await whole(walk)).ByteSize()
    ids = found(services, 0)
    assert least_bytes(ids.traversal, full=False) <= (await whole(ids, full=False)).ByteSize()


def test_each_service_has_its_message_without_any_targets_too() -> None:
    messages = list(adjacency_messages([("a", ("b", "c")), ("b", ())], FRESHNESS, 1_000))
    assert [(message.service_id, list(message.target_service_ids)) for message in messages] == [
        ("a", ["b", "c"]),
        ("b", []),
    ]
    assert [message.HasField("freshness") for message in messages] == [True, False]


@pytest.mark.parametrize("letter", ["x", "漢"])
def test_very_many_targets_come_in_several_messages_of_the_same_service(letter: str) -> None:
    targets = tuple(f"{letter * 20}{place:05}" for place in range(1_000))
    messages: list[GetAdjacencyListResponse] = list(
        adjacency_messages([("hub", targets), ("leaf", ())], FRESHNESS, 4_000)
    )
    assert [message.service_id for message in messages] == ["hub"] * (len(messages) - 1) + ["leaf"]
    assert tuple(name for message in messages for name in message.target_service_ids) == targets
    assert all(message.ByteSize() <= 4_000 + 100 for message in messages)
