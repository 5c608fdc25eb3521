"""BatchTraverse over a real channel: many walks over one snapshot, each with its own outcome."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import graph_service_pb2 as pb
from server.concurrency import CooperativeYield
from server.config import Limits, Settings
from server.domain.revision import Revision
from server.rpc.graph import batch_traverse
from tests.support.calls import FRESH, Stubs, raw_call
from tests.support.deadlines import answer_early
from tests.support.failures import failure_in, failure_of
from tests.support.revisions import is_at_least

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=40_000)
METHOD = "/depgraph.v1.GraphService/BatchTraverse"


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def walk(start: str, **said: Any) -> pb.TraverseRequest:
    return ParseDict({"service_id": start, "direction": "DIRECTION_DOWNSTREAM"} | said, pb.TraverseRequest())


def by_ids(start: str, **said: Any) -> pb.TraverseRequest:
    return walk(start, view="TRAVERSAL_VIEW_IDS", **said)


async def ask(stubs: Stubs, *requests: pb.TraverseRequest, **options: Any) -> pb.BatchTraverseResponse:
    return await stubs.graph.BatchTraverse(pb.BatchTraverseRequest(requests=requests), **options)


async def level(stubs: Stubs) -> None:
    """Wait until memory holds what was written."""
    await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))


def kinds(answer: pb.BatchTraverseResponse) -> list[str | None]:
    return [result.WhichOneof("outcome") for result in answer.responses]


async def test_answers_are_those_of_single_calls_in_the_order_of_the_requests(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a", "x>b")
    await level(stubs)
    requests = [
        walk("a"),
        by_ids("c"),
        walk("b", direction="DIRECTION_BOTH"),
        walk("a", max_services=1),
        by_ids("x", direction="DIRECTION_UPSTREAM"),
    ]
    answer = await ask(stubs, *requests)
    assert kinds(answer) == ["traversal"] * 5
    for request, result in zip(requests, answer.responses, strict=True):
        single = await stubs.graph.Traverse(request)
        assert is_at_least(single.freshness.revision, result.traversal.freshness.revision)
        single.freshness.CopyFrom(result.traversal.freshness)
        assert result.traversal == single


async def test_every_answer_of_a_batch_names_the_same_snapshot(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    await level(stubs)
    answer = await ask(stubs, walk("a"), walk("missing"), by_ids("b"))
    assert answer.freshness.revision
    assert answer.responses[0].traversal.freshness == answer.freshness
    assert answer.responses[2].traversal.freshness == answer.freshness


async def test_an_error_of_a_request_is_returned_in_its_place(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    await level(stubs)
    wrong = [walk("missing"), walk("", max_depth=11), pb.TraverseRequest(service_id="a")]
    answer = await ask(stubs, walk("a"), *wrong, by_ids("a"))
    assert kinds(answer) == ["traversal", "error", "error", "error", "traversal"]
    for request, result in zip(wrong, answer.responses[1:4], strict=True):
        single = await failure_of(stubs.graph.Traverse(request))
        assert replace(failure_in(result.error), size=single.size) == single


@pytest.mark.parametrize("count", [0, 1_001])
async def test_none_and_too_many_are_refused(stubs: Stubs, count: int) -> None:
    failure = await failure_of(ask(stubs, *[walk("a")] * count))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == ["requests"]
    assert "1,000" in failure.message


async def test_a_batch_that_is_no_message_is_refused(channel: grpc.aio.Channel) -> None:
    failure = await failure_of(raw_call(channel, METHOD, b"\x0a\xff"))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_answer_that_does_not_fit_is_an_error_in_its_place_and_smaller_ones_follow(
    stubs: Stubs,
) -> None:
    await stubs.write_edges(*(f"hub>target {number:03}" for number in range(100)))
    await stubs.write_edges("a>b")
    await level(stubs)
    answer = await ask(stubs, walk("hub"), walk("hub"), walk("a"), by_ids("hub"))
    assert answer.ByteSize() <= LIMITS.max_response_bytes
    assert kinds(answer) == ["traversal", "error", "traversal", "traversal"]
    left_out = failure_in(answer.responses[1].error)
    assert (left_out.code, left_out.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert left_out.metadata == {"limit_bytes": "40000"}
    for way in ("StreamTraverse", "max_services", "TRAVERSAL_VIEW_IDS"):
        assert way in left_out.message


async def test_an_answer_keeps_to_the_limit_however_much_is_asked_for(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"hub>target {number:03}" for number in range(30)))
    await level(stubs)
    for count in (2, 3, 4, 5, 40):
        answer = await ask(stubs, *[walk("hub")] * count)
        assert answer.ByteSize() <= LIMITS.max_response_bytes
        served = kinds(answer).count("traversal")
        assert kinds(answer) == ["traversal"] * served + ["error"] * (count - served)
        assert served >= min(count, 2)


async def test_a_batch_of_which_not_even_the_errors_fit_is_refused(stubs: Stubs) -> None:
    failure = await failure_of(ask(stubs, *[walk("missing")] * 1_000))
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert "ask for fewer" in failure.message


async def test_the_strongest_consistency_holds_for_all(stubs: Stubs) -> None:
    for number in range(20):
        created = await stubs.write_edges(f"start {number}>end")
        assert created
        fresh = walk("missing", consistency={"fully_consistent": True})
        answer = await ask(stubs, walk(f"start {number}"), fresh)
        assert list(answer.responses[0].traversal.service_ids) == ["end"]


async def test_revisions_that_cannot_be_had_fail_their_own_requests_alone(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_early(monkeypatch)
    await stubs.write_edges("a>b")
    await level(stubs)
    ours = Revision.parse((await ask(stubs, walk("a"))).freshness.revision)
    elsewhere = Revision("1:2:00000000-0000-4000-8000-000000000000", xid=7).token
    wanted = ["latest", elsewhere, Revision(ours.feed_id, xid=2**62).token, ours.token]
    requests = [walk("a", consistency={"at_least_as_fresh": token}) for token in wanted]
    answer = await ask(stubs, *requests, walk("a"), timeout=2.0)
    assert [failure_in(result.error).reason for result in answer.responses[:3]] == [
        "INVALID_REVISION",
        "REVISION_UNKNOWN",
        "REPLICA_BEHIND",
    ]
    assert kinds(answer) == ["error"] * 3 + ["traversal"] * 2


async def test_one_snapshot_answers_all_while_writers_write(
    stubs: Stubs, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write turns every edge around: an answer from two snapshots would know both ends."""
    # Others run after every walk, the feed among them.
    monkeypatch.setattr(batch_traverse, "CooperativeYield", partial(CooperativeYield, length=0.0))
    count = 60
    await stubs.write_edges(*(f"start {number}>left" for number in range(count)))
    await stubs.write_services("right")
    await level(stubs)
    writing = asyncio.create_task(turn_around(connection))
    returned: list[str] = []
    try:
        async with asyncio.timeout(60):
            while len(returned) < 40 or len(set(returned)) < 2:
                answer = await ask(stubs, *(by_ids(f"start {number}") for number in range(count)))
                [end] = {name for result in answer.responses for name in result.traversal.service_ids}
                returned.append(end)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def turn_around(connection: asyncpg.Connection) -> None:
    """Let all edges lead elsewhere, back, and so on."""
    while True:
        for end in ("right", "left"):
            await connection.execute(
                """UPDATE service_dependencies SET target_service_id = services.id
                FROM services WHERE services.service_id = $1""",
                end,
            )


async def test_a_thousand_fit_one_call_with_the_usual_limit(stubs_of_usual_server: Stubs) -> None:
    stubs = stubs_of_usual_server
    names = [f"service {number}" for number in range(100)]
    await stubs.write_edges(*(f"{name}>hub" for name in names))
    await level(stubs)
    answer = await ask(stubs, *(by_ids(name) for name in names * 10))
    assert [list(result.traversal.service_ids) for result in answer.responses] == [["hub"]] * 1_000
