"""AuditPaths over a real channel; other tests prove what is found, these how it is answered."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    RetryConfig,
)
from server.config import Limits, Settings
from tests.support.calls import Stubs
from tests.support.failures import failure_of
from tests.support.plain_sql import connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=8_000)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def audit(stubs: Stubs, **said: Any) -> pb.AuditPathsResponse:
    fresh = {"consistency": {"fully_consistent": True}}
    return await stubs.analyses.AuditPaths(ParseDict(fresh | said, pb.AuditPathsRequest()))


def retrying(times: int) -> dict[str, Any]:
    return {"retry_config": RetryConfig(max_retries=times)}


async def test_a_timeout_that_does_not_shrink_is_reported_with_both_dependencies(stubs: Stubs) -> None:
    [outer] = await stubs.write_edges("a>b", timeout_ms=500)
    [inner] = await stubs.write_edges("b>c", timeout_ms=800)
    [equal] = await stubs.write_edges("c>b", timeout_ms=800)
    await stubs.write_edges("b>d", timeout_ms=499)
    await stubs.write_edges("c>d")
    answer = await audit(stubs)
    assert [
        (found.caller_dependency, found.callee_dependency, found.excess_ms) for found in answer.timeouts
    ] == [
        (outer, inner, 300),
        (inner, equal, 0),
        (equal, inner, 0),
    ]
    assert answer.timeout_count == 3
    assert (list(answer.retries), answer.retry_count, answer.truncated) == ([], 0, False)
    assert answer.freshness.revision


async def test_the_worst_path_of_each_service_is_reported_with_its_dependencies(stubs: Stubs) -> None:
    [first] = await stubs.write_edges("a>b", **retrying(2))
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES, **retrying(1))
    [seen] = await stubs.write_edges("b>c", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH, **retrying(4))
    await stubs.write_edges("b>c", "c>a")
    answer = await audit(stubs)
    [found] = answer.retries
    assert list(found.service_ids) == ["a", "b", "c"]
    assert list(found.dependencies) == [first, seen]
    assert (found.attempts, answer.retry_count) == (15, 1)
    everyone = (await audit(stubs, max_attempts=2)).retries
    assert [("".join(found.service_ids), found.attempts) for found in everyone] == [
        ("abc", 15),
        ("bc", 5),
        ("cab", 3),
    ]
    assert not (await audit(stubs, max_hops=1)).retries


async def test_a_configuration_that_says_no_number_means_three_retries(
    stubs: Stubs, database_url: str
) -> None:
    await stubs.write_edges("a>b")
    async with connected(database_url) as connection:
        await connection.execute(
            """UPDATE service_dependencies SET retry_config = '{"backoff_strategy": "linear"}'"""
        )
    [found] = (await audit(stubs, max_attempts=1)).retries
    assert found.attempts == 4


async def test_only_dependencies_that_are_waited_for_and_pass_the_filter_count(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", timeout_ms=1, **retrying(9))
    await stubs.write_edges("b>c", timeout_ms=2, communication_mode=COMMUNICATION_MODE_ASYNC, **retrying(9))
    await stubs.write_edges("b>d", timeout_ms=3, is_stale=True, **retrying(9))
    await stubs.write_edges(
        "b>e", timeout_ms=4, discovery_source=DISCOVERY_SOURCE_KUBERNETES, confidence_score=0.5, **retrying(9)
    )

    async def callees(**said: Any) -> list[list[str]]:
        answer = await audit(stubs, **said)
        paths = ["".join(found.service_ids) for found in answer.retries]
        return [[found.callee_dependency.target_service_id for found in answer.timeouts], paths]

    assert await callees() == [["e"], ["abe"]]
    assert await callees(include_stale=True) == [["e", "d"], ["abd"]]
    assert await callees(filter={"min_confidence": 0.6}) == [[], []]
    assert await callees(filter={"discovery_sources": ["DISCOVERY_SOURCE_KUBERNETES"]}) == [[], []]
    assert await callees(filter={"communication_modes": ["COMMUNICATION_MODE_ASYNC"]}) == [[], []]


async def test_findings_may_be_kept_to_paths_that_begin_at_a_service(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>d", timeout_ms=100, **retrying(3))
    answer = await audit(stubs, service_id="b")
    assert [found.caller_dependency.source_service_id for found in answer.timeouts] == ["b"]
    assert [list(found.service_ids) for found in answer.retries] == [["b", "c", "d"]]
    assert (answer.timeout_count, answer.retry_count) == (1, 1)


async def test_findings_beyond_the_most_wanted_are_counted(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>d", "d>e", timeout_ms=100, **retrying(3))
    answer = await audit(stubs, max_findings=1)
    assert (len(answer.timeouts), answer.timeout_count) == (1, 3)
    assert ([list(found.service_ids) for found in answer.retries], answer.retry_count) == (
        [["a", "b", "c", "d", "e"]],
        3,
    )


async def test_an_unknown_service_is_not_found(stubs: Stubs) -> None:
    failure = await failure_of(audit(stubs, service_id="missing"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")


async def test_everything_that_is_wrong_is_named_at_once(stubs: Stubs) -> None:
    failure = await failure_of(
        audit(
            stubs,
            service_id="x" * 256,
            max_hops=11,
            max_attempts=-1,
            max_findings=1_001,
            filter={"communication_modes": [9], "min_confidence": 2},
            consistency={"at_least_as_fresh": "x"},
        )
    )
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == [
        "service_id",
        "max_hops",
        "max_attempts",
        "max_findings",
        "filter.communication_modes[0]",
        "filter.min_confidence",
        "consistency.at_least_as_fresh",
    ]


async def test_an_answer_beyond_the_limit_is_refused_with_what_to_do(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", *(f"b>c{number}" for number in range(40)), timeout_ms=100)
    failure = await failure_of(audit(stubs))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert "max_findings" in failure.message
    answer = await audit(stubs, max_findings=10)
    assert (len(answer.timeouts), answer.timeout_count) == (10, 40)


async def test_effective_findings_say_what_all_sources_know_together(stubs: Stubs) -> None:
    mesh: dict[str, Any] = {"discovery_source": DISCOVERY_SOURCE_SERVICE_MESH}
    await stubs.write_edges("a>b", timeout_ms=500)
    await stubs.write_edges("a>b", timeout_ms=100, **mesh, **retrying(9))
    await stubs.write_edges("b>c")
    await stubs.write_edges("b>c", timeout_ms=600, **mesh, **retrying(4))
    answer = await audit(stubs, effective=True)
    [found] = answer.timeouts
    caller, callee = found.caller_effective, found.callee_effective
    assert (caller.source_service_id, caller.target_service_id, caller.timeout_ms) == ("a", "b", 500)
    assert (callee.source_service_id, callee.target_service_id, callee.timeout_ms) == ("b", "c", 600)
    assert (found.excess_ms, found.HasField("caller_dependency"), answer.timeout_count) == (100, False, 1)
    won = {field.field: field.discovery_source for field in caller.provenance}
    assert (won["timeout_ms"], won["retry_config"]) == (
        DISCOVERY_SOURCE_MANUAL,
        DISCOVERY_SOURCE_SERVICE_MESH,
    )
    [path] = answer.retries
    assert (list(path.service_ids), path.attempts) == (["a", "b", "c"], 50)
    assert [each.retry_config.max_retries for each in path.effective_dependencies] == [9, 4]
    assert list(path.dependencies) == []
