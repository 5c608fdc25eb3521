"""Traverse and StreamTraverse over a real channel: how they answer. Other tests prove the walks."""

import gzip
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_KUBERNETES,
    Dependency,
    Service,
)
from server.config import Limits, Settings
from tests.support.calls import Stubs, edges
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=40_000, max_part_bytes=8_000)
DEBIAN = Path(__file__).parents[3].parent / "shared" / "data" / "debian12_depends.json.gz"


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def question(start: str, **said: Any) -> dict[str, Any]:
    fresh = {"fully_consistent": True}
    return {"service_id": start, "direction": "DIRECTION_DOWNSTREAM", "consistency": fresh} | said


async def walk(stubs: Stubs, start: str, **said: Any) -> pb.TraverseResponse:
    return await stubs.graph.Traverse(ParseDict(question(start, **said), pb.TraverseRequest()))


async def stream(stubs: Stubs, start: str, **said: Any) -> list[pb.StreamTraverseResponse]:
    request = ParseDict(question(start, **said), pb.StreamTraverseRequest())
    return [part async for part in stubs.graph.StreamTraverse(request)]


async def found(stubs: Stubs, start: str, **said: Any) -> dict[str, int]:
    answer = await walk(stubs, start, **said)
    return dict(zip(answer.service_ids, answer.depths, strict=True))


def drawn(rows: Any) -> list[str]:
    return sorted(f"{row.source_service_id}>{row.target_service_id}" for row in rows)


async def write_hub(stubs: Stubs, callers: int) -> None:
    for start in range(0, callers, 1_000):
        await stubs.write_edges(
            *(f"caller {number}>hub" for number in range(start, min(start + 1_000, callers)))
        )


async def test_a_cycle_is_walked_once_around(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a")
    answer = await walk(stubs, "a")
    assert (list(answer.service_ids), list(answer.depths)) == (["b", "c"], [1, 2])
    assert drawn(answer.dependencies) == ["a>b", "b>c", "c>a"]
    assert not answer.truncated


async def test_an_answer_holds_the_stored_rows(stubs: Stubs) -> None:
    [edge] = await stubs.write_edges("a>b", protocol="grpc", timeout_ms=5, confidence_score=0.5)
    [service] = await stubs.write_services("b")
    answer = await walk(stubs, "a")
    assert list(answer.services) == [service]
    assert list(answer.dependencies) == [edge]


async def test_a_direction_selects_callees_callers_or_both(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>d", "x>c")
    assert await found(stubs, "c") == {"d": 1}
    assert await found(stubs, "c", direction="DIRECTION_UPSTREAM") == {"b": 1, "x": 1, "a": 2}
    assert await found(stubs, "c", direction="DIRECTION_BOTH") == {"b": 1, "x": 1, "d": 1, "a": 2}


async def test_a_walk_without_a_depth_goes_three_hops(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"{hop}>{hop + 1}" for hop in range(12)))
    assert len(await found(stubs, "0")) == 3
    assert len(await found(stubs, "0", max_depth=1)) == 1
    assert len(await found(stubs, "0", max_depth=10)) == 10


async def test_stale_dependencies_are_walked_over_only_when_asked_for(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    await stubs.write_edges("b>c", is_stale=True)
    assert await found(stubs, "a") == {"b": 1}
    assert await found(stubs, "a", include_stale=True) == {"b": 1, "c": 2}


async def test_a_filter_decides_over_which_dependencies_a_walk_goes(stubs: Stubs) -> None:
    await stubs.write_edges("a>sure", confidence_score=0.9)
    await stubs.write_edges("a>guess", confidence_score=0.2)
    await stubs.write_edges("a>queue", communication_mode=COMMUNICATION_MODE_ASYNC)
    await stubs.write_edges("a>soft", criticality=DEPENDENCY_CRITICALITY_SOFT)
    await stubs.write_edges("a>pod", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    assert set(await found(stubs, "a", filter={"min_confidence": 0.9})) == {"sure", "queue", "soft", "pod"}
    for chosen, only in (
        ({"communication_modes": ["COMMUNICATION_MODE_ASYNC"]}, "queue"),
        ({"criticalities": ["DEPENDENCY_CRITICALITY_SOFT"]}, "soft"),
        ({"discovery_sources": ["DISCOVERY_SOURCE_KUBERNETES"]}, "pod"),
    ):
        assert set(await found(stubs, "a", filter=chosen)) == {only}


async def test_a_limit_cuts_off_and_says_so(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>d")
    cut = await walk(stubs, "a", max_services=2)
    assert (list(cut.service_ids), cut.truncated) == (["b", "c"], True)
    assert drawn(cut.dependencies) == ["a>b", "b>c"]
    whole = await walk(stubs, "a", max_services=3)
    assert (len(whole.service_ids), whole.truncated) == (3, False)


async def test_the_ids_view_returns_only_ids_and_depths(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c")
    answer = await walk(stubs, "a", view="TRAVERSAL_VIEW_IDS")
    assert (list(answer.service_ids), list(answer.depths)) == (["b", "c"], [1, 2])
    assert not answer.services
    assert not answer.dependencies
    assert answer.freshness.revision


async def test_an_unknown_start_is_not_found(stubs: Stubs) -> None:
    for call in (walk(stubs, "chekout"), stream(stubs, "chekout")):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
        assert failure.metadata == {"service_id": "chekout"}


async def test_the_parts_of_a_stream_are_the_answer(stubs: Stubs) -> None:
    await write_hub(stubs, 100)
    answer = await walk(stubs, "hub", direction="DIRECTION_UPSTREAM")
    parts = await stream(stubs, "hub", direction="DIRECTION_UPSTREAM")
    assert len(parts) > 2
    assert all(part.ByteSize() <= LIMITS.max_part_bytes for part in parts)
    joined = pb.TraverseResponse.FromString(b"".join(part.SerializeToString() for part in parts))
    # Each was asked for at its own time.
    joined.freshness.CopyFrom(answer.freshness)
    assert joined == answer


async def test_a_stream_over_nothing_is_one_part(stubs: Stubs) -> None:
    await stubs.write_services("lonely")
    [part] = await stream(stubs, "lonely")
    assert part.freshness.revision


async def test_an_answer_over_the_limit_says_what_to_do(stubs: Stubs) -> None:
    await write_hub(stubs, 300)
    failure = await failure_of(walk(stubs, "hub", direction="DIRECTION_UPSTREAM"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert failure.metadata == {"limit_bytes": str(LIMITS.max_response_bytes)}
    for way in ("TRAVERSAL_VIEW_IDS", "max_services", "StreamTraverse"):
        assert way in failure.message
    by_ids = await walk(stubs, "hub", direction="DIRECTION_UPSTREAM", view="TRAVERSAL_VIEW_IDS")
    assert len(by_ids.service_ids) == 300
    parts = await stream(stubs, "hub", direction="DIRECTION_UPSTREAM")
    assert sum(len(part.dependencies) for part in parts) == 300


async def test_an_answer_of_ids_can_be_too_large_too(stubs: Stubs) -> None:
    await write_hub(stubs, 3_000)
    failure = await failure_of(walk(stubs, "hub", direction="DIRECTION_UPSTREAM", view="TRAVERSAL_VIEW_IDS"))
    assert failure.reason == "RESPONSE_TOO_LARGE"
    assert "TRAVERSAL_VIEW_IDS" not in failure.message
    assert "StreamTraverse" in failure.message


async def test_answers_just_below_the_limit_are_sent_and_never_larger(stubs: Stubs) -> None:
    await write_hub(stubs, 300)
    sizes = []
    for limit in range(150, 250, 5):
        try:
            answer = await walk(stubs, "hub", direction="DIRECTION_UPSTREAM", max_services=limit)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            break
        sizes.append(answer.ByteSize())
    assert len(sizes) < 20
    assert LIMITS.max_response_bytes * 0.9 < max(sizes) <= LIMITS.max_response_bytes


@pytest.mark.skipif(not DEBIAN.exists(), reason=f"{DEBIAN.name} is not beside the repository")
class TestDebian:
    """The largest real graph: 21,808 packages that depend on libc6."""

    async def test_all_callers_of_a_hub_are_returned(self, stubs_of_usual_server: Stubs) -> None:
        stubs = stubs_of_usual_server
        calls = json.loads(gzip.decompress(DEBIAN.read_bytes()))
        callers = sorted({call["parent"] for call in calls if call["child"] == "libc6"} - {"libc6"})
        for start in range(0, len(callers), 10_000):
            report = dependencies.IngestGraphRequest(
                discovery_source=DISCOVERY_SOURCE_KUBERNETES,
                edges=edges(*(f"{caller}>libc6" for caller in callers[start : start + 10_000])),
            )
            await stubs.dependencies.IngestGraph(report)
        by_ids = await walk(
            stubs, "libc6", direction="DIRECTION_UPSTREAM", max_depth=1, view="TRAVERSAL_VIEW_IDS"
        )
        assert sorted(by_ids.service_ids) == callers
        assert len(callers) == 21_808
        failure = await failure_of(walk(stubs, "libc6", direction="DIRECTION_UPSTREAM", max_depth=1))
        assert failure.reason == "RESPONSE_TOO_LARGE"
        services: list[Service] = []
        rows: list[Dependency] = []
        for part in await stream(stubs, "libc6", direction="DIRECTION_UPSTREAM", max_depth=1):
            assert part.ByteSize() <= 1024 * 1024
            services += part.services
            rows += part.dependencies
        assert [service.service_id for service in services] == list(by_ids.service_ids)
        assert len(rows) == 21_808
