"""Unread answers: limits per connection and in total, refusals beyond them, and their counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import grpc
import pytest

from bench.http2 import call_headers, message
from bench.raw_http2 import connect
from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    GetAdjacencyListRequest,
    StreamTraverseRequest,
    WatchRequest,
)
from server.app import Application
from server.config import KIB, Limits, Settings
from server.rpc.server import RpcServer
from tests.support.calls import FRESH, Stubs
from tests.support.channels import HOLDS_LITTLE, open_channel
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import Failure, failure_of, read_failure
from tests.support.fake_stores import HeldStore, codes, running

EXHAUSTED = "RESOURCE_EXHAUSTED"
ANSWER_BYTES = 50_000
LIMITS = Limits(max_unsent_bytes_per_connection=4 * ANSWER_BYTES, max_unsent_bytes=10 * ANSWER_BYTES)
HEADERS = call_headers("/depgraph.v1.CatalogService/GetService")
ASKED = message(GetServiceRequest(service_id="a").SerializeToString())


@pytest.fixture
async def server() -> AsyncIterator[RpcServer]:
    store = HeldStore()
    store.metadata = f'{{"note": "{"x" * (ANSWER_BYTES - 1_000)}"}}'
    store.let_go.set()
    async with running(store, limits=LIMITS) as serving:
        yield serving


@pytest.mark.grpcio_only
async def test_answers_unread_on_one_connection_are_bounded_and_given_back(
    server: RpcServer,
) -> None:
    connection = await connect(server.address, window=0)
    pending = [connection.call(HEADERS, ASKED) for _ in range(20)]
    await eventually(lambda: codes(server).total() == 20)
    assert codes(server) == {"OK": 4, EXHAUSTED: 16}
    assert server.counts.refused == {"unsent_bytes_per_connection": 16}
    assert 3 * ANSWER_BYTES < server.load.unsent_bytes <= 4 * ANSWER_BYTES
    await eventually(lambda: sum(call.done() for call in pending) == 16)
    answers = [call.result() for call in pending if call.done()]
    assert {answer.code for answer in answers} == {EXHAUSTED}
    async with open_channel(server.address) as channel:
        # Another connection has room of its own.
        await Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))
    connection.close()
    await eventually(lambda: server.load.unsent_bytes == 0)


@pytest.mark.grpcio_only
async def test_answers_unread_on_all_connections_are_bounded_and_the_error_says_what_to_do(
    server: RpcServer,
) -> None:
    connections = [await connect(server.address, window=0) for _ in range(4)]
    for connection in connections:
        for _ in range(3):
            connection.call(HEADERS, ASKED)
    await eventually(lambda: codes(server).total() == 12)
    assert server.counts.refused["unsent_bytes"] >= 1
    assert server.load.unsent_bytes <= LIMITS.max_unsent_bytes
    async with open_channel(server.address) as channel:
        # One that reads is let go a quarter beyond, until others who don't have taken that as well.
        await Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))
        connections += [await connect(server.address, window=0) for _ in range(4)]
        for connection in connections[4:]:
            connection.call(HEADERS, ASKED)
        await eventually(lambda: codes(server).total() == 17)
        failure = await failure_of(Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a")))
        assert (failure.code.name, failure.reason) == (EXHAUSTED, "UNREAD_ANSWERS")
        assert failure.metadata == {"limit": "unsent_bytes"}
        assert failure.retry_after is not None
        assert "--max-unsent-bytes" in failure.message
        assert server.load.unsent_bytes <= LIMITS.max_unsent_bytes * 5 // 4 + ANSWER_BYTES
        for connection in connections[:4]:
            connection.close()
        await eventually(lambda: server.load.unsent_bytes < 10 * ANSWER_BYTES)
        await Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))
    for connection in connections[4:]:
        connection.close()
    await eventually(lambda: server.load.unsent_bytes == 0)


async def test_an_answer_that_is_read_is_counted_out(server: RpcServer) -> None:
    async with open_channel(server.address) as channel:
        stubs = Stubs(channel)
        for _ in range(20):
            await stubs.catalog.GetService(GetServiceRequest(service_id="a"))
    await eventually(lambda: server.load.unsent_bytes == 0)


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    limits = Limits(max_part_bytes=64 * KIB, max_unsent_bytes_per_connection=100 * KIB)
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=limits)


def traversal(stubs: Stubs) -> Any:
    wanted = StreamTraverseRequest(service_id="hub", direction=DIRECTION_DOWNSTREAM, consistency=FRESH)
    return stubs.graph.StreamTraverse(wanted)


def watch(stubs: Stubs) -> Any:
    return stubs.graph.Watch(WatchRequest(include_state=True))


async def ended(stream: Any) -> Failure | None:
    """Read a stream to its end; None = it went well."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return read_failure(error)
    return None


# More than the client, the network and the transport hold together.
LARGE = """
INSERT INTO services (service_id) VALUES ('hub');
INSERT INTO services (service_id, metadata)
SELECT 'under-' || number, jsonb_build_object('note', repeat('x', 5000))
FROM generate_series(1, 900) AS number;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT hub.id, other.id, 'sync' FROM services AS hub, services AS other
WHERE hub.service_id = 'hub' AND other.service_id LIKE 'under-%';
"""


@pytest.mark.costly
@pytest.mark.parametrize("ask", [traversal, watch])
async def test_unread_streams_count_too(
    application: Application, connection: asyncpg.Connection, ask: Callable[[Stubs], Any]
) -> None:
    await connection.execute(LARGE)
    async with (
        open_channel(application.address) as reading_all,
        open_channel(application.address, *HOLDS_LITTLE) as channel,
    ):
        await Stubs(reading_all).graph.GetAdjacencyList(GetAdjacencyListRequest(consistency=FRESH)).read()
        streams = [ask(Stubs(channel)) for _ in range(4)]
        # Each has a part that waits; there is room for one.
        await asyncio.gather(*(stream.read() for stream in streams), return_exceptions=True)
        await eventually(lambda: application.running_calls < len(streams))
        # Its status may stand behind parts that were sent before.
        reading = [asyncio.ensure_future(ended(stream)) for stream in streams]
        async with asyncio.timeout(PATIENCE_SECONDS):
            for first in asyncio.as_completed(reading):
                if (failure := await first) is not None:
                    break
        assert failure is not None
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "wait to be read" in failure.message
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
