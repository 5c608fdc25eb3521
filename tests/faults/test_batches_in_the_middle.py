"""
A batch that fails in the middle leaves nothing.

When it fails, its services are written and it waits for the lock of an edge.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest

from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_KUBERNETES
from server.store.embedded import EmbeddedPostgres
from tests.support.backends import backends, until_backends
from tests.support.calls import edges
from tests.support.deadlines import before_its_deadline
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import read_failure
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.soundness import AT_WORK
from tests.support.whole_server import BATCH, HUB, WholeServer

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

NEW = tuple(f"new-{number}" for number in range(5))
REPORTED_EDGE = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, discovery_source)
SELECT hub.id, other.id, 'sync', 'kubernetes' FROM services AS hub, services AS other
WHERE hub.service_id = 'hub' AND other.service_id = 'batch-0'
"""
HOLD_THE_EDGE = "BEGIN; UPDATE service_dependencies SET timeout_ms = 1 WHERE discovery_source = 'kubernetes'"
WAITS_FOR_THE_EDGE = f"{AT_WORK} AND wait_event_type = 'Lock'"
TERMINATE = (
    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND {AT_WORK}"
)

Call = grpc.aio.UnaryUnaryCall[dependencies.IngestGraphRequest, dependencies.IngestGraphResponse]
Failing = Callable[[Call, asyncpg.Connection], Awaitable[None]]


def report() -> dependencies.IngestGraphRequest:
    """Edges to five new services, and the one that is held."""
    wanted = edges(*(f"{BATCH[1]}>{name}" for name in NEW), f"{HUB}>{BATCH[0]}")
    return dependencies.IngestGraphRequest(discovery_source=DISCOVERY_SOURCE_KUBERNETES, edges=wanted)


async def written(url: str) -> tuple[int, int]:
    """How many services and edges of the report are in the tables."""
    async with connected(url) as connection:
        services = await connection.fetchval("SELECT count(*) FROM services WHERE service_id = ANY ($1)", NEW)
        reported = await connection.fetchval(
            "SELECT count(*) FROM service_dependencies WHERE discovery_source = 'kubernetes'"
        )
    return services, reported - 1


@asynccontextmanager
async def in_the_middle(
    server: WholeServer, deadline: float = PATIENCE_SECONDS
) -> AsyncIterator[tuple[Call, asyncpg.Connection]]:
    """
    Start the report; yield the call once its services are written and it waits for the edge.

    The lock on the edge is released at the end.
    """
    async with connected(server.database_url) as holder, connected(server.database_url) as observer:
        await holder.execute(REPORTED_EDGE)
        await holder.execute(HOLD_THE_EDGE)

        async def waits() -> bool:
            return len(await backends(observer, WAITS_FOR_THE_EDGE)) == 1

        ingest = server.stubs.dependencies.IngestGraph
        yield (
            await before_its_deadline(lambda seconds: ingest(report(), timeout=seconds), waits, deadline),
            observer,
        )


async def cancelled(call: Call, observer: asyncpg.Connection) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def out_of_time(call: Call, observer: asyncpg.Connection) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await call
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def terminated_twice(call: Call, observer: asyncpg.Connection) -> None:
    await terminate_the_writer(observer)
    await until_backends(observer, WAITS_FOR_THE_EDGE, 1)
    await terminate_the_writer(observer)
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await call
    failure = read_failure(lost.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert failure.retry_after is not None


async def terminate_the_writer(observer: asyncpg.Connection) -> None:
    (writer,) = await observer.fetch(
        f"SELECT pid FROM pg_stat_activity WHERE {AT_WORK} AND datname = current_database()"
    )
    await observer.execute(TERMINATE)
    await until_backends(observer, f"pid = {writer['pid']}", 0)


@pytest.mark.parametrize("failing", [cancelled, out_of_time, terminated_twice])
async def test_a_batch_that_fails_in_the_middle_leaves_nothing(
    database_url: str, record: Record, failing: Failing
) -> None:
    async with WholeServer.opened(database_url, record) as server:
        async with in_the_middle(server, deadline=1 if failing is out_of_time else PATIENCE_SECONDS) as (
            call,
            observer,
        ):
            await failing(call, observer)
            await until_backends(observer, WAITS_FOR_THE_EDGE, 0)
            await server.reads_go_on()
        assert await written(database_url) == (0, 0)
        await server.recovers(f"batch {failing.__name__.replace('_', ' ')} in the middle")


async def test_a_batch_whose_backend_is_terminated_once_is_made_anew_as_a_whole(
    database_url: str, record: Record
) -> None:
    async with WholeServer.opened(database_url, record) as server:
        async with in_the_middle(server) as (call, observer):
            await terminate_the_writer(observer)
            await until_backends(observer, WAITS_FOR_THE_EDGE, 1)
        answer = await call
        assert (answer.services_created, answer.edges_created) == (len(NEW), len(NEW))
        assert await written(database_url) == (len(NEW), len(NEW))
        await server.recovers("backend terminated in the middle of a batch, once")


async def test_a_crash_of_the_database_in_the_middle_of_a_batch_leaves_nothing(
    own_postgres: EmbeddedPostgres, record: Record
) -> None:
    async with WholeServer.opened(own_postgres.url, record) as server:
        async with in_the_middle(server) as (call, _):
            await own_postgres.crash()
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await call
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.reads_go_on()
        await own_postgres.start()
        assert await written(own_postgres.url) == (0, 0)
        await server.recovers("database crashed in the middle of a batch")
