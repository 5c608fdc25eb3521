"""Callers who take their time with a large answer, or vanish in the middle of it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from structlog.testing import capture_logs

from depgraph.v1 import graph_service_pb2 as graph
from server.replica.replica import IN_PLACE
from tests.support.calls import FRESH, Stubs
from tests.support.channels import HOLDS_LITTLE, open_channel
from tests.support.chaos import ChaosProxy
from tests.support.eventually import eventually
from tests.support.scene import Record
from tests.support.whole_server import FIRST, WholeServer

pytestmark = pytest.mark.costly

# So many changes at once are made in a copy of the graph.
MANY = IN_PLACE + 100
READERS = 3
LARGE = "large"
# Long names and notes, so that no buffer on the way holds the whole answer.
PEOPLE = f"""
INSERT INTO services (service_id, team) SELECT '{LARGE}', '{FIRST}';
INSERT INTO services (service_id, team, metadata)
SELECT repeat('x', 200) || number, '{FIRST}', jsonb_build_object('note', repeat('y', 1000))
FROM generate_series(1, {MANY}) AS number;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT large.id, other.id, 'sync' FROM services AS large, services AS other
WHERE large.service_id = '{LARGE}' AND other.service_id LIKE 'xxx%';
"""
CHANGE_ALL = "UPDATE services SET team = 'second' WHERE service_id LIKE 'xxx%'"
REMOVE_ALL = "DELETE FROM services WHERE service_id LIKE 'xxx%'"


@pytest.fixture
async def server(
    database_url: str, connection: asyncpg.Connection, record: Record
) -> AsyncIterator[WholeServer]:
    """A server with one answer of many megabytes."""
    await connection.execute(PEOPLE)
    async with WholeServer.opened(database_url, record) as opened:
        yield opened


def walk() -> graph.StreamTraverseRequest:
    return graph.StreamTraverseRequest(service_id=LARGE, direction=graph.DIRECTION_DOWNSTREAM, max_depth=1)


async def level(server: WholeServer) -> graph.GetStatusResponse:
    """As another caller, wait until the graph has what was committed; return what it then holds."""
    request = graph.GetComponentRequest(service_id=LARGE, consistency=FRESH)
    await server.stubs.graph.GetComponent(request)
    return await server.stubs.graph.GetStatus(graph.GetStatusRequest())


async def test_a_slow_reader_of_a_walk_gets_one_snapshot_and_delays_no_other_caller(
    server: WholeServer, connection: asyncpg.Connection
) -> None:
    async with open_channel(server.application.address, *HOLDS_LITTLE) as slow:
        messages = aiter(Stubs(slow).graph.StreamTraverse(walk()))
        parts = [await anext(messages)]
        await connection.execute(CHANGE_ALL)
        fresh = await level(server)
        await server.reads_go_on()
        again = [part async for part in server.stubs.graph.StreamTraverse(walk())]
        # Still one: the slow reader has not got all of its answer.
        await eventually(lambda: server.running_calls == 1)
        parts += [part async for part in messages]
    services = [service for part in parts for service in part.services]
    assert len(services) == MANY
    assert {service.team for service in services} == {FIRST}
    assert sum(len(part.dependencies) for part in parts) == MANY
    assert {service.team for part in again for service in part.services} == {"second"}
    assert fresh.freshness.revision != parts[0].freshness.revision
    await server.recovers("slow reader of StreamTraverse", parts=len(parts))


async def test_a_slow_reader_of_the_adjacency_list_gets_one_snapshot_and_delays_no_other_caller(
    server: WholeServer, connection: asyncpg.Connection
) -> None:
    async with open_channel(server.application.address, *HOLDS_LITTLE) as slow:
        unread = aiter(Stubs(slow).graph.GetAdjacencyList(graph.GetAdjacencyListRequest()))
        first = await anext(unread)
        await connection.execute(REMOVE_ALL)
        fresh = await level(server)
        await server.reads_go_on()
        # Still one: the slow reader has not got all of its answer.
        await eventually(lambda: server.running_calls == 1)
        messages = [first, *[message async for message in unread]]
    targets = {
        target for message in messages if message.service_id == LARGE for target in message.target_service_ids
    }
    assert len(targets) == MANY
    assert targets <= {message.service_id for message in messages}
    assert fresh.dependency_count < MANY
    await server.recovers("slow reader of GetAdjacencyList", messages=len(messages))


@pytest.mark.parametrize("how", ["connection reset", "channel closed", "calls cancelled"])
async def test_readers_that_vanish_leave_nothing_running(server: WholeServer, how: str) -> None:
    with capture_logs() as logs:
        async with ChaosProxy(f"tcp://{server.application.address}").running() as proxy:
            address = proxy.url.removeprefix("tcp://").partition("/")[0].partition("?")[0]
            async with open_channel(address, *HOLDS_LITTLE) as channel:
                calls = [Stubs(channel).graph.StreamTraverse(walk()) for _ in range(READERS)]
                for call in calls:
                    assert (await anext(aiter(call))).services
                await eventually(lambda: server.running_calls == READERS)
                if how == "connection reset":
                    proxy.reset_links()
                if how == "calls cancelled":
                    for call in calls:
                        call.cancel()
                if how != "channel closed":
                    await eventually(lambda: server.running_calls <= 0)
            await eventually(lambda: server.running_calls <= 0)
    assert [line for line in logs if line["log_level"] in ("warning", "error")] == []
    await server.recovers(f"reader vanishes in the middle of a stream, {how}")
