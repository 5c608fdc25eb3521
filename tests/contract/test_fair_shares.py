"""Rates and places of callers: beyond them one caller is refused, and others are answered."""

import asyncio
import threading
from datetime import timedelta
from typing import Any, NoReturn

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph import aio
from depgraph.v1.analysis_service_pb2 import AnalyzeImpactRequest, FindPathsRequest
from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    GetAdjacencyListRequest,
    TraverseRequest,
    WatchRequest,
)
from server.app import Application
from server.config import Limits, Settings
from server.domain.caller import ANYONE, Caller
from server.domain.errors import NotReadyError
from server.rpc.analysis.paths import paths_answer
from server.rpc.analysis.servicer import Analyses
from server.rpc.shares import FairLock
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import Failure, failure_of
from tests.support.fake_stores import HeldStore, running

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
ASKED = GetServiceRequest(service_id="a")
PATHS = FindPathsRequest(source_service_id="a", target_service_id="b")
NEVER_AGAIN = 0.001
DOWN = DIRECTION_DOWNSTREAM


class NamedByConnection:
    """Each connection is a principal of its own."""

    def admit(self, _method: str, context: Any) -> Caller:
        return Caller(context.peer(), ANYONE.roles)


@pytest.fixture
def limits() -> Limits:
    """Limits of the application; a test gives others by parameters."""
    return Limits()


@pytest.fixture
def server_settings(database_url: str, limits: Limits) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=limits)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


def check(failure: Failure, reason: str, limit: str, flag: str) -> None:
    assert (failure.code, failure.reason) == (EXHAUSTED, reason)
    assert failure.metadata == {"limit": limit}
    assert flag in failure.message


async def test_a_call_beyond_the_rate_is_refused_and_says_when_to_come_again(store: HeldStore) -> None:
    store.let_go.set()
    limits = Limits(rate_limit=NEVER_AGAIN, rate_burst=3)
    async with (
        running(store, limits=limits) as server,
        open_channel(server.address) as channel,
        open_channel(server.address) as another,
    ):
        for _ in range(3):
            await Stubs(channel).catalog.GetService(ASKED)
        # Without an identity it is the address that counts.
        failure = await failure_of(Stubs(another).catalog.GetService(ASKED))
        check(failure, "RATE_LIMITED", "rate_limit", "--rate-limit")
        assert failure.retry_after is not None
        assert timedelta(seconds=900) < failure.retry_after <= timedelta(seconds=1_000)
        await eventually(lambda: server.counts.refused == {"rate_limit": 1})
        for _ in range(5):
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_principal_beyond_its_rate_leaves_that_of_another(store: HeldStore) -> None:
    store.let_go.set()
    limits = Limits(rate_limit=NEVER_AGAIN, rate_burst=2)
    async with (
        running(store, limits=limits, access=NamedByConnection()) as server,
        open_channel(server.address) as greedy,
        open_channel(server.address) as modest,
    ):
        for _ in range(2):
            await Stubs(greedy).catalog.GetService(ASKED)
        check(
            await failure_of(Stubs(greedy).catalog.GetService(ASKED)), "RATE_LIMITED", "rate_limit", "--rate"
        )
        for _ in range(2):
            await Stubs(modest).catalog.GetService(ASKED)


async def test_the_client_comes_again_when_it_may(store: HeldStore) -> None:
    store.let_go.set()
    async with (
        running(store, limits=Limits(rate_limit=1, rate_burst=1)) as server,
        aio.AsyncClient(server.address) as client,
    ):
        # Both within a second, however busy the machine is.
        await asyncio.gather(*(client.catalog.GetService(ASKED) for _ in range(2)))
        assert server.counts.refused["rate_limit"] >= 1


@pytest.mark.parametrize("limits", [Limits(rate_limit=NEVER_AGAIN, rate_burst=4)])
async def test_calls_answered_at_once_and_later_ones_cost_a_token_each(channel: grpc.aio.Channel) -> None:
    stubs = Stubs(channel)
    await stubs.write_services("a")
    await stubs.graph.Traverse(TraverseRequest(service_id="a", direction=DOWN, consistency=FRESH))
    await stubs.graph.Traverse(TraverseRequest(service_id="a", direction=DOWN))
    missing = await failure_of(stubs.graph.Traverse(TraverseRequest(service_id="b", direction=DOWN)))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    refused = await failure_of(stubs.graph.Traverse(TraverseRequest(service_id="a", direction=DOWN)))
    check(refused, "RATE_LIMITED", "rate_limit", "--rate-limit")


@pytest.mark.parametrize(
    ("limits", "limit", "flag"),
    [
        (Limits(max_watches=1), "watches", "--max-watches"),
        (Limits(max_streams_per_principal=1), "streams_per_principal", "--max-streams-per-principal"),
    ],
)
async def test_a_watch_beyond_a_limit_is_refused_until_another_ends(
    application: Application, channel: grpc.aio.Channel, limits: Limits, limit: str, flag: str
) -> None:
    stubs = Stubs(channel)
    watch = stubs.graph.Watch(WatchRequest())
    await watch.read()
    check(await failure_of(stubs.graph.Watch(WatchRequest()).read()), "OVERLOADED", limit, flag)
    await stubs.write_services("calls with one answer are no streams")
    other = stubs.graph.GetAdjacencyList(GetAdjacencyListRequest(consistency=FRESH))
    if limits.max_watches == 1:
        assert [part async for part in other]
    else:
        check(await failure_of(other.read()), "OVERLOADED", limit, flag)
    watch.cancel()
    async with asyncio.timeout(30):
        while True:
            again = stubs.graph.Watch(WatchRequest())
            try:
                await again.read()
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() is EXHAUSTED


async def test_analyses_have_places_of_their_own(store: HeldStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.let_go.set()
    over = asyncio.Event()

    async def held(*_: object) -> NoReturn:
        await over.wait()
        raise NotReadyError("the analysis is over")

    monkeypatch.setattr(Analyses, "run", held)
    limits = Limits(max_concurrent_analyses=2)
    async with running(store, limits=limits) as server, open_channel(server.address) as channel:
        stubs = Stubs(channel)
        impact = AnalyzeImpactRequest(service_id="a")
        held_calls = [
            asyncio.ensure_future(failure_of(stubs.analyses.FindPaths(PATHS))),
            asyncio.ensure_future(failure_of(stubs.analyses.AnalyzeImpact(impact).read())),
        ]
        await eventually(lambda: server.running_calls == 2)
        for refused in (stubs.analyses.FindPaths(PATHS), stubs.analyses.AnalyzeImpact(impact).read()):
            check(await failure_of(refused), "OVERLOADED", "concurrent_analyses", "--max-concurrent-analyses")
        await stubs.catalog.GetService(ASKED)
        over.set()
        for failure in await asyncio.gather(*held_calls):
            assert failure.reason == "NOT_READY"
        assert (await failure_of(stubs.analyses.FindPaths(PATHS))).reason == "NOT_READY"


async def test_a_caller_that_takes_every_place_does_not_keep_another_out(store: HeldStore) -> None:
    async with (
        running(store, limits=Limits(max_concurrent_calls=4), access=NamedByConnection()) as server,
        open_channel(server.address) as greedy,
        open_channel(server.address) as modest,
    ):
        held = [asyncio.ensure_future(Stubs(greedy).catalog.GetService(ASKED)) for _ in range(4)]
        await eventually(lambda: server.running_calls == 4)
        refused = await failure_of(Stubs(greedy).catalog.GetService(ASKED))
        check(refused, "OVERLOADED", "concurrent_calls", "--max-concurrent-calls")
        answered = asyncio.ensure_future(Stubs(modest).catalog.GetService(ASKED))
        await eventually(lambda: server.running_calls == 5)
        store.let_go.set()
        await asyncio.gather(*held, answered)


async def test_an_analysis_whose_caller_is_gone_before_its_turn_does_not_run(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubs = Stubs(channel)
    await stubs.write_services("a", "b")
    asked = FindPathsRequest(source_service_id="a", target_service_id="b", consistency=FRESH)
    known = FindPathsRequest(source_service_id="a", target_service_id="b")
    begun, go_on = threading.Semaphore(0), threading.Event()
    waits, gone = asyncio.Event(), asyncio.Event()
    acquire, runs = FairLock.acquire, 0

    def held(*arguments: Any) -> bytes:
        nonlocal runs
        runs += 1
        begun.release()
        go_on.wait(30)
        return paths_answer(*arguments)

    async def noting(*arguments: Any) -> None:
        if runs:
            waits.set()
        try:
            await acquire(*arguments)
        except asyncio.CancelledError:
            gone.set()
            raise

    monkeypatch.setattr("server.rpc.analysis.servicer.paths_answer", held)
    monkeypatch.setattr(FairLock, "acquire", noting)
    first = asyncio.ensure_future(stubs.analyses.FindPaths(asked))
    await asyncio.to_thread(begun.acquire)
    given_up = stubs.analyses.FindPaths(known)
    await waits.wait()
    given_up.cancel()
    await gone.wait()
    go_on.set()
    await first
    await stubs.analyses.FindPaths(known)
    assert runs == 2
