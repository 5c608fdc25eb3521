"""Effective dependencies over a real channel: reports of one pair by several sources are merged."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
    RetryConfig,
)
from server.config import Limits, Settings
from tests.support.calls import Stubs
from tests.support.effective import effective_of
from tests.support.failures import failure_in, failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=40_000, max_part_bytes=8_000)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def question(start: str, **said: Any) -> dict[str, Any]:
    fresh = {"fully_consistent": True}
    asked = {
        "service_id": start,
        "direction": "DIRECTION_DOWNSTREAM",
        "consistency": fresh,
        "effective": True,
    }
    return asked | said


async def walk(stubs: Stubs, start: str, **said: Any) -> pb.TraverseResponse:
    return await stubs.graph.Traverse(ParseDict(question(start, **said), pb.TraverseRequest()))


async def stream(stubs: Stubs, start: str, **said: Any) -> list[pb.StreamTraverseResponse]:
    request = ParseDict(question(start, **said), pb.StreamTraverseRequest())
    return [part async for part in stubs.graph.StreamTraverse(request)]


def pairs(answer: pb.TraverseResponse) -> list[str]:
    returned = answer.effective_dependencies
    return sorted(f"{each.source_service_id}>{each.target_service_id}" for each in returned)


async def report(stubs: Stubs) -> list[Dependency]:
    """Let three sources report a>b, two of them b>c."""
    return [
        *await stubs.write_edges(
            "a>b",
            "b>c",
            discovery_source=DISCOVERY_SOURCE_MANUAL,
            criticality=DEPENDENCY_CRITICALITY_SOFT,
        ),
        *await stubs.write_edges(
            "a>b",
            "b>c",
            discovery_source=DISCOVERY_SOURCE_SERVICE_MESH,
            protocol="grpc",
            retry_config=RetryConfig(max_retries=2),
            criticality=DEPENDENCY_CRITICALITY_HARD,
        ),
        *await stubs.write_edges(
            "a>b",
            discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
            protocol="http",
            timeout_ms=800,
            confidence_score=0.6,
        ),
    ]


async def test_sources_are_merged_into_a_dependency_with_the_origin_of_each_field(stubs: Stubs) -> None:
    rows = await report(stubs)
    answer = await walk(stubs, "a", max_depth=1)
    [returned] = answer.effective_dependencies
    assert returned == effective_of([row for row in rows if row.source_service_id == "a"])
    assert (returned.protocol, returned.timeout_ms, returned.criticality) == (
        "grpc",
        800,
        DEPENDENCY_CRITICALITY_SOFT,
    )
    assert list(returned.discovery_sources) == [
        DISCOVERY_SOURCE_MANUAL,
        DISCOVERY_SOURCE_SERVICE_MESH,
        DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    ]
    assert not answer.dependencies
    assert [service.service_id for service in answer.services] == ["b"]


async def test_sources_that_are_not_asked_say_nothing(stubs: Stubs) -> None:
    await report(stubs)
    traces = {"discovery_sources": ["DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH"]}
    [returned] = (await walk(stubs, "a", filter=traces)).effective_dependencies
    assert (returned.protocol, list(returned.discovery_sources)) == (
        "http",
        [DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH],
    )
    sure = await walk(stubs, "a", filter={"min_confidence": 0.7})
    assert [each.HasField("timeout_ms") for each in sure.effective_dependencies] == [False, False]


async def test_modes_and_criticalities_are_asked_of_the_effective_dependency(stubs: Stubs) -> None:
    await report(stubs)
    # The mesh calls both hard, but a person has the word.
    hard = {"criticalities": ["DEPENDENCY_CRITICALITY_HARD"]}
    assert not (await walk(stubs, "a", filter=hard)).service_ids
    assert list((await walk(stubs, "a", filter=hard, effective=False)).service_ids) == ["b", "c"]
    soft = await walk(stubs, "a", filter={"criticalities": ["DEPENDENCY_CRITICALITY_SOFT"]})
    assert pairs(soft) == ["a>b", "b>c"]
    assert soft.effective_dependencies[0].protocol == "grpc"
    mesh = hard | {"discovery_sources": ["DISCOVERY_SOURCE_SERVICE_MESH"]}
    assert pairs(await walk(stubs, "a", filter=mesh)) == ["a>b", "b>c"]


async def test_what_is_stale_speaks_only_when_asked_and_last(stubs: Stubs) -> None:
    await stubs.write_edges(
        "a>b", is_stale=True, protocol="amqp", communication_mode=COMMUNICATION_MODE_ASYNC
    )
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES, protocol="tcp")
    [fresh] = (await walk(stubs, "a")).effective_dependencies
    assert list(fresh.discovery_sources) == [DISCOVERY_SOURCE_KUBERNETES]
    [both] = (await walk(stubs, "a", include_stale=True)).effective_dependencies
    assert list(both.discovery_sources) == [DISCOVERY_SOURCE_KUBERNETES, DISCOVERY_SOURCE_MANUAL]
    assert (both.protocol, both.is_stale) == ("tcp", False)


async def test_ids_alone_come_without_dependencies(stubs: Stubs) -> None:
    await report(stubs)
    answer = await walk(stubs, "a", view="TRAVERSAL_VIEW_IDS")
    assert (list(answer.service_ids), list(answer.depths)) == (["b", "c"], [1, 2])
    assert not answer.effective_dependencies
    assert not answer.services
    [part] = await stream(stubs, "a", view="TRAVERSAL_VIEW_IDS")
    assert list(part.service_ids) == ["b", "c"]


async def write_hub(stubs: Stubs, callers: int) -> None:
    named = [f"caller {number}>hub" for number in range(callers)]
    await stubs.write_edges(*named)
    await stubs.write_edges(*named[::2], discovery_source=DISCOVERY_SOURCE_KUBERNETES)


async def test_streams_and_batches_return_the_same(stubs: Stubs) -> None:
    await write_hub(stubs, 50)
    said = {"direction": "DIRECTION_UPSTREAM", "max_services": 30}
    answer = await walk(stubs, "hub", **said)
    assert len(answer.effective_dependencies) == 30
    parts = await stream(stubs, "hub", **said)
    assert len(parts) > 2
    assert all(part.ByteSize() <= LIMITS.max_part_bytes and part.truncated for part in parts)
    joined = pb.TraverseResponse.FromString(b"".join(part.SerializeToString() for part in parts))
    request = ParseDict(question("hub", **said), pb.TraverseRequest())
    batch = await stubs.graph.BatchTraverse(pb.BatchTraverseRequest(requests=[request, request]))
    for other in (joined, batch.responses[0].traversal, batch.responses[1].traversal):
        # Each was asked for at its own time.
        other.freshness.CopyFrom(answer.freshness)
        assert other == answer


async def test_an_answer_over_the_limit_says_what_to_do(stubs: Stubs) -> None:
    await write_hub(stubs, 150)
    failure = await failure_of(walk(stubs, "hub", direction="DIRECTION_UPSTREAM"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert "StreamTraverse" in failure.message
    returned = [
        dependency
        for part in await stream(stubs, "hub", direction="DIRECTION_UPSTREAM")
        for dependency in part.effective_dependencies
    ]
    assert len({each.source_service_id for each in returned}) == len(returned) == 150
    request = ParseDict(question("hub", direction="DIRECTION_UPSTREAM"), pb.TraverseRequest())
    batch = await stubs.graph.BatchTraverse(pb.BatchTraverseRequest(requests=[request]))
    assert failure_in(batch.responses[0].error).reason == "RESPONSE_TOO_LARGE"


async def test_an_unknown_start_is_not_found(stubs: Stubs) -> None:
    for call in (walk(stubs, "chekout"), stream(stubs, "chekout")):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
