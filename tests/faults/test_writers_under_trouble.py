"""Writers for whom there is no connection: the pool's are busy, or the database has none left."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from server.config import DetectionSettings, PoolSettings
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.whole_server import BATCH, FIRST, WholeServer, teams_in_tables

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

SMALL_POOL = PoolSettings(size=3, acquire_timeout=timedelta(seconds=1))
CONNECTIONS = 3
WRITERS = 12
MAX_CONNECTIONS = 12
END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name IN ('depgraph', 'depgraph history')"
)
LOCK = "BEGIN; LOCK TABLE services IN SHARE ROW EXCLUSIVE MODE"


@pytest.fixture
async def narrow_postgres(reachable_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of the test's own that takes few connections."""
    settings = {"max_connections": str(MAX_CONNECTIONS), "superuser_reserved_connections": "0"}
    async with EmbeddedPostgres(reachable_folder / "database", durable=False, settings=settings) as server:
        await migrate.upgrade(server.url)
        yield server


async def test_more_writers_than_connections_are_asked_to_retry_and_reads_go_on(
    database_url: str, record: Record
) -> None:
    async with WholeServer.opened(database_url, record, pool=SMALL_POOL) as server:
        async with connected(database_url) as holder:
            await holder.execute(LOCK)
            writers = [asyncio.create_task(server.outcome(f"team {n}")) for n in range(WRITERS)]
            await eventually(lambda: sum(task.done() for task in writers) == WRITERS - CONNECTIONS)
            refused = await failure_of(
                server.stubs.catalog.GetService(catalog.GetServiceRequest(service_id=BATCH[0]))
            )
            await server.reads_go_on()
            await holder.execute("COMMIT")
        outcomes = await asyncio.gather(*writers)
        failures = [failure for failure in [*outcomes, refused] if failure is not None]
        assert outcomes.count(None) == CONNECTIONS
        for failure in failures:
            assert (failure.code, failure.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "POOL_EXHAUSTED",
            )
            assert failure.retry_after is not None
            assert failure.retry_after > timedelta()
        await server.recovers("pool exhausted")


async def test_a_database_whose_connections_others_have_used_up_is_unavailable_and_comes_back(
    narrow_postgres: EmbeddedPostgres, record: Record
) -> None:
    # Detection would hold a connection for good.
    detection = DetectionSettings(enabled=False)
    async with WholeServer.opened(narrow_postgres.url, record, detection=detection) as server:
        others = await every_connection(narrow_postgres.url)
        try:
            failures = await asyncio.gather(
                *(failure_of(server.write_batch(f"team {n}")) for n in range(WRITERS))
            )
            await server.reads_go_on()
        finally:
            for other in others:
                await other.close()
        for failure in failures:
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
            assert failure.retry_after is not None
        assert await teams_in_tables(narrow_postgres.url) == {FIRST}
        await server.recovers("max_connections used up by others", taken=len(others))


async def every_connection(url: str) -> list[asyncpg.Connection]:
    """
    Take all connections but the feed's; a connection just closed becomes free a moment later.

    Those of the server's pool, which reads the reporters every few seconds, and of the process that
    marks the history are ended for it.
    """
    taken: list[asyncpg.Connection] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(taken) < MAX_CONNECTIONS - 1:
            try:
                taken.append(await asyncpg.connect(url))
            except asyncpg.TooManyConnectionsError:
                await taken[0].execute(END_OTHERS)
                await asyncio.sleep(0.005)
    return taken
