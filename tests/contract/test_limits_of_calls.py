"""Limits on calls, streams and connections: beyond them, calls are refused and counted."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph import aio
from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import WatchRequest
from server.app import Application
from server.config import Limits, Settings
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import failure_of, read_failure
from tests.support.fake_stores import HeldStore, codes, running

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
ASKED = GetServiceRequest(service_id="a")


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    limits = Limits(max_streaming_calls=2)
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=limits)


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


async def test_a_call_beyond_the_limit_is_refused_at_once(store: HeldStore) -> None:
    async with (
        running(store, limits=Limits(max_concurrent_calls=3)) as server,
        open_channel(server.address) as channel,
    ):
        stubs = Stubs(channel)
        held = [asyncio.ensure_future(stubs.catalog.GetService(ASKED)) for _ in range(3)]
        await eventually(lambda: server.running_calls == len(held))
        failure = await failure_of(stubs.catalog.GetService(ASKED))
        assert (failure.code, failure.reason) == (EXHAUSTED, "OVERLOADED")
        assert failure.metadata == {"limit": "concurrent_calls"}
        assert failure.retry_after == timedelta(seconds=1)
        assert "--max-concurrent-calls" in failure.message
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        store.let_go.set()
        await asyncio.gather(*held)
        await stubs.catalog.GetService(ASKED)
        await eventually(lambda: codes(server) == {"OK": 5, "RESOURCE_EXHAUSTED": 1})
        assert sum(calls.started for calls in server.counts) == 6
        assert server.counts.refused == {"concurrent_calls": 1}


async def test_the_client_retries_after_a_refused_call(store: HeldStore) -> None:
    async with (
        running(store, limits=Limits(max_concurrent_calls=1)) as server,
        open_channel(server.address) as channel,
        aio.AsyncClient(server.address) as client,
    ):
        held = asyncio.ensure_future(Stubs(channel).catalog.GetService(ASKED))
        await store.asked.wait()
        refused = asyncio.ensure_future(client.catalog.GetService(ASKED))
        await eventually(lambda: server.counts.refused["concurrent_calls"] >= 1)
        store.let_go.set()
        await asyncio.gather(held, refused)


async def test_a_cancelled_call_frees_its_slot(store: HeldStore) -> None:
    async with (
        running(store, limits=Limits(max_concurrent_calls=1)) as server,
        open_channel(server.address) as channel,
    ):
        stubs = Stubs(channel)
        given_up = stubs.catalog.GetService(ASKED)
        await store.asked.wait()
        given_up.cancel()
        await store.cancelled.wait()
        await eventually(lambda: server.running_calls == 0)
        store.let_go.set()
        await stubs.catalog.GetService(ASKED)


async def test_calls_are_answered_however_many_come_at_once(store: HeldStore) -> None:
    store.let_go.set()
    limits = Limits(max_concurrent_calls=5_000, max_streams_per_connection=5_000)
    async with (
        running(store, limits=limits) as server,
        open_channel(server.address) as channel,
    ):
        calls = [Stubs(channel).catalog.GetService(ASKED) for _ in range(2_000)]
        await asyncio.gather(*calls)
        await eventually(lambda: codes(server) == {"OK": 2_000})


async def test_a_stream_beyond_the_limit_is_refused_and_others_continue(
    application: Application, channel: grpc.aio.Channel
) -> None:
    stubs = Stubs(channel)
    watches = [stubs.graph.Watch(WatchRequest()) for _ in range(2)]
    for watch in watches:
        await watch.read()
    refused = stubs.graph.Watch(WatchRequest())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await refused.read()
    failure = read_failure(caught.value)
    assert (failure.code, failure.reason) == (EXHAUSTED, "OVERLOADED")
    assert failure.metadata == {"limit": "streaming_calls"}
    await stubs.write_services("unary calls are counted apart")
    watches.pop().cancel()
    await eventually(lambda: application.running_calls == 0)
    # Its place is free once the server has noticed; a watch that is refused costs nothing.
    async with asyncio.timeout(30):
        while True:
            watch = stubs.graph.Watch(WatchRequest())
            try:
                await watch.read()
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() is EXHAUSTED


async def test_calls_beyond_the_streams_of_a_connection_wait_in_the_client(store: HeldStore) -> None:
    async with (
        running(store, limits=Limits(max_streams_per_connection=2)) as server,
        open_channel(server.address) as channel,
    ):
        calls = [asyncio.ensure_future(Stubs(channel).catalog.GetService(ASKED)) for _ in range(5)]
        await eventually(lambda: server.running_calls == 2)
        async with open_channel(server.address) as another:
            further = asyncio.ensure_future(Stubs(another).catalog.GetService(ASKED))
            await eventually(lambda: server.running_calls == 3)
            store.let_go.set()
            await asyncio.gather(*calls, further)


@pytest.fixture
async def crowded(store: HeldStore) -> AsyncIterator[str]:
    store.let_go.set()
    async with running(store, limits=Limits(max_connections=2)) as server:
        yield server.address


@pytest.mark.grpcio_only
async def test_a_connection_beyond_the_limit_is_closed_and_others_continue(crowded: str) -> None:
    async with open_channel(crowded) as first, open_channel(crowded) as second:
        for channel in (first, second):
            await Stubs(channel).catalog.GetService(ASKED)
        async with open_channel(crowded) as third:
            failure = await failure_of(Stubs(third).catalog.GetService(ASKED))
            assert failure.code is grpc.StatusCode.UNAVAILABLE
        for channel in (first, second):
            await Stubs(channel).catalog.GetService(ASKED)
    async with open_channel(crowded) as later:
        await Stubs(later).catalog.GetService(ASKED, wait_for_ready=True)


@pytest.mark.grpcio_only
async def test_an_idle_connection_is_closed_and_opened_again_when_it_is_needed(store: HeldStore) -> None:
    store.let_go.set()
    limits = Limits(connection_idle_timeout=timedelta(milliseconds=50), max_connections=1)
    async with running(store, limits=limits) as server, open_channel(server.address) as channel:
        await Stubs(channel).catalog.GetService(ASKED)
        # There is room for another only when the first is gone.
        async with open_channel(server.address) as another:
            await Stubs(another).catalog.GetService(ASKED, wait_for_ready=True)
        await Stubs(channel).catalog.GetService(ASKED, wait_for_ready=True)
