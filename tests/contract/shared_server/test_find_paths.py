"""FindPaths over a real channel: the shape of its answer. Other tests prove which paths exist."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
)
from server.config import Limits, Settings
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=4_000)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def find(stubs: Stubs, source: str, target: str, **said: Any) -> pb.FindPathsResponse:
    ends = {"source_service_id": source, "target_service_id": target}
    fresh = {"consistency": {"fully_consistent": True}}
    return await stubs.analyses.FindPaths(ParseDict(ends | fresh | said, pb.FindPathsRequest()))


async def paths(stubs: Stubs, source: str, target: str, **said: Any) -> list[str]:
    answer = await find(stubs, source, target, **said)
    return [">".join(path.service_ids) for path in answer.paths]


async def test_paths_come_shortest_first_and_then_by_name(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "a>c", "b>z", "c>z", "b>c", "c>b", "z>a")
    assert await paths(stubs, "a", "z") == ["a>b>z"]
    assert await paths(stubs, "a", "z", max_paths=10) == ["a>b>z", "a>c>z", "a>b>c>z", "a>c>b>z"]
    assert await paths(stubs, "a", "z", max_paths=3) == ["a>b>z", "a>c>z", "a>b>c>z"]
    assert await paths(stubs, "a", "z", max_paths=10, max_hops=2) == ["a>b>z", "a>c>z"]


async def test_a_hop_holds_the_stored_dependencies_that_pass(stubs: Stubs) -> None:
    [seen] = await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    [declared] = await stubs.write_edges("a>b", timeout_ms=5)
    [further] = await stubs.write_edges("b>c")
    answer = await find(stubs, "a", "c")
    [path] = answer.paths
    assert [list(hop.dependencies) for hop in path.hops] == [[declared, seen], [further]]
    assert not any(hop.HasField("effective") for hop in path.hops)
    assert not answer.truncated
    assert answer.freshness.revision
    observed = {"discovery_sources": [DISCOVERY_SOURCE_SERVICE_MESH]}
    [path] = (await find(stubs, "a", "b", filter=observed)).paths
    assert [list(hop.dependencies) for hop in path.hops] == [[seen]]


async def test_effective_dependencies_are_merged_and_filtered_as_such(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES, timeout_ms=7)
    await stubs.write_edges("a>b", communication_mode=COMMUNICATION_MODE_ASYNC)
    await stubs.write_edges("b>c")
    [path] = (await find(stubs, "a", "c", effective=True)).paths
    assert not any(hop.dependencies for hop in path.hops)
    merged = path.hops[0].effective
    assert (merged.source_service_id, merged.target_service_id) == ("a", "b")
    assert (merged.communication_mode, merged.timeout_ms) == (COMMUNICATION_MODE_ASYNC, 7)
    assert list(merged.discovery_sources) == [DISCOVERY_SOURCE_MANUAL, DISCOVERY_SOURCE_KUBERNETES]
    sync = {"communication_modes": [COMMUNICATION_MODE_SYNC]}
    assert await paths(stubs, "a", "b", filter=sync) == ["a>b"]
    assert await paths(stubs, "a", "b", filter=sync, effective=True) == []


async def test_stale_and_filtered_dependencies_are_not_gone_over(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", confidence_score=0.6)
    await stubs.write_edges("a>c", is_stale=True)
    assert await paths(stubs, "a", "c") == ["a>b>c"]
    assert await paths(stubs, "a", "c", include_stale=True) == ["a>c"]
    assert await paths(stubs, "a", "c", filter={"min_confidence": 0.7}) == []


async def test_no_path_is_an_answer(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    answer = await find(stubs, "b", "a")
    assert not answer.paths
    assert not answer.truncated
    assert answer.freshness.revision


async def test_every_service_that_is_not_there_is_named(stubs: Stubs) -> None:
    await stubs.write_services("a")
    one = await failure_of(find(stubs, "a", "bb"))
    assert (one.code, one.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert (one.message, one.metadata) == ("no service named 'bb'", {"service_id": "bb"})
    both = await failure_of(find(stubs, "aa", "bb"))
    assert both.message == "no services named 'aa' and 'bb'"


async def test_everything_wrong_is_named_at_once(stubs: Stubs) -> None:
    failure = await failure_of(find(stubs, "a", "a", max_paths=101, max_hops=-1))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(failure.fields) == ["max_hops", "max_paths", "source_service_id", "target_service_id"]
    empty = await failure_of(find(stubs, "", ""))
    assert sorted(empty.fields) == ["source_service_id", "target_service_id"]


async def test_an_answer_over_the_limit_says_what_to_do(stubs: Stubs) -> None:
    middle = [f"middle {number}" for number in range(30)]
    await stubs.write_edges(*(f"a>{name}" for name in middle), *(f"{name}>z" for name in middle))
    failure = await failure_of(find(stubs, "a", "z", max_paths=30))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert failure.metadata == {"limit_bytes": str(LIMITS.max_response_bytes)}
    assert "max_paths" in failure.message
    assert "max_hops" in failure.message
    assert len((await find(stubs, "a", "z", max_paths=5)).paths) == 5
