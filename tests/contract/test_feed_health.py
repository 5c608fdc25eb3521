"""A feed that can't be trusted shows: in GetStatus, in health, and in the command's exit code."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph.v1 import graph_service_pb2 as pb
from server.config import FeedSettings, Settings
from tests.support.calls import Stubs
from tests.support.command import Command
from tests.support.failures import failure_of
from tests.support.following import PATIENCE

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection
GRAPH = "depgraph.v1.GraphService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

BREAKAGES = {
    "disabled": "ALTER TABLE services DISABLE TRIGGER depgraph_feed_update",
    "not always": "ALTER TABLE services ENABLE TRIGGER depgraph_feed_update",
    "dropped": "DROP TRIGGER depgraph_feed_update ON services",
}


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    feed = FeedSettings(
        poll_interval=timedelta(milliseconds=20),
        reread_interval=timedelta(0),
        audit_interval=timedelta(milliseconds=100),
        prune_interval=timedelta(milliseconds=50),
    )
    return Settings(listen="127.0.0.1:0", database_url=database_url, feed=feed)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def healths(channel: grpc.aio.Channel, service: str) -> AsyncIterator[int]:
    stub = health_pb2_grpc.HealthStub(channel)
    async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service)):
        yield answer.status


async def until_health(channel: grpc.aio.Channel, service: str, wanted: int) -> None:
    async with asyncio.timeout(PATIENCE.total_seconds()):
        async for seen in healths(channel, service):
            if seen == wanted:
                return


async def status(stubs: Stubs) -> pb.GetStatusResponse:
    return await stubs.graph.GetStatus(pb.GetStatusRequest())


async def health(channel: grpc.aio.Channel, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_status_reports_audits_and_the_length_of_the_log(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    async with asyncio.timeout(PATIENCE.total_seconds()):
        # A pruning between the two writes has seen two rows.
        while not (returned := await status(stubs)).HasField("last_audit") or returned.change_log_rows != 3:
            await asyncio.sleep(0.01)
    assert returned.last_audit.differing_rows == 0
    assert returned.last_audit.duration.ToTimedelta() > timedelta(0)
    assert not returned.problems


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
async def test_missing_triggers_make_the_graph_untrusted_until_they_are_back_and_everything_was_read(
    stubs: Stubs, channel: grpc.aio.Channel, connection: Connection, quick_command: Command, breakage: str
) -> None:
    await stubs.write_edges("a>b")
    await connection.execute(breakage)
    await until_health(channel, GRAPH, NOT_SERVING)
    assert await health(channel, "") == SERVING
    assert await health(channel, "depgraph.v1.CatalogService") == SERVING
    [problem] = (await status(stubs)).problems
    assert "services.depgraph_feed_update" in problem
    returned = await quick_command("status")
    assert (returned.returncode, "depgraph doctor" in returned.stdout) == (1, True)
    assert (await quick_command("status", "--live")).returncode == 0


async def test_what_was_written_while_a_trigger_was_off_is_in_memory_when_it_is_back(
    stubs: Stubs, channel: grpc.aio.Channel, connection: Connection
) -> None:
    await stubs.write_edges("a>b")
    await connection.execute(BREAKAGES["disabled"])
    await until_health(channel, GRAPH, NOT_SERVING)
    await connection.execute("UPDATE services SET service_id = 'unseen' WHERE service_id = 'a'")
    await connection.execute("ALTER TABLE services ENABLE ALWAYS TRIGGER depgraph_feed_update")
    await until_health(channel, GRAPH, SERVING)
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while (await status(stubs)).warm_count < 2:
            await asyncio.sleep(0.01)
    found = await stubs.graph.GetComponent(pb.GetComponentRequest(service_id="unseen"))
    assert found.component.members == ["unseen"]
    failure = await failure_of(stubs.graph.GetComponent(pb.GetComponentRequest(service_id="a")))
    assert failure.code is grpc.StatusCode.NOT_FOUND
