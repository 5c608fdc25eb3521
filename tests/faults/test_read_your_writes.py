"""
Writers on one replica and readers on another, under load: no reader misses its own writes.

A transaction stays open the whole time.

``--soak-seconds 600`` for a long run with figures.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from depgraph.v1 import graph_service_pb2 as graph
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.own_writes import OwnReads, add_writers, write_by_rpc, write_by_sql
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.serving import serving
from tests.support.soundness import assert_sound

SHORT_SECONDS = 3.0
ENOUGH = 350
FEW = 100
RPC_WRITERS, SQL_WRITERS = 8, 3
LOAD = """
UPDATE services SET metadata = jsonb_build_object('noise', random()) WHERE service_id LIKE 'noise-%'
"""


@asynccontextmanager
async def under_load(url: str, replicas: list[Stubs]) -> AsyncIterator[None]:
    """
    Start the load: readers of each replica, a writer and an open transaction.

    The writer changes many rows again and again.
    """
    async with connected(url) as idle, connected(url) as busy:
        await idle.execute("BEGIN; INSERT INTO services (service_id) VALUES ('never committed')")
        await busy.execute(
            "INSERT INTO services (service_id) SELECT 'noise-' || n FROM generate_series(1, 500) AS n"
        )
        noise = [
            asyncio.create_task(change_on(busy)),
            *(asyncio.create_task(read_on(each)) for each in replicas),
        ]
        try:
            yield
        finally:
            for task in noise:
                task.cancel()
            ended = await asyncio.gather(*noise, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def change_on(connection: asyncpg.Connection) -> None:
    while True:
        await connection.execute(LOAD)
        await asyncio.sleep(0.05)


async def read_on(stubs: Stubs) -> None:
    while True:
        await stubs.graph.ListComponents(graph.ListComponentsRequest())
        await asyncio.sleep(0.005)


def over_after(seconds: float, few: Callable[[], bool], enough: Callable[[], bool]) -> Callable[[], bool]:
    """Whether the time is over, and there are a few at least, or there is enough."""
    end = time.monotonic() + seconds
    return lambda: (time.monotonic() > end and few()) or enough()


@pytest.mark.timeout(0)  # as long as the soak
@pytest.mark.one_transport
async def test_a_read_with_the_token_of_a_write_sees_it_on_every_replica(
    database_url: str,
    connection: asyncpg.Connection,
    soak_seconds: float | None,
    effort: int,
    record: Record,
) -> None:
    await add_writers(connection, RPC_WRITERS + SQL_WRITERS)
    async with (
        serving("--database-url", database_url) as one,
        serving("--database-url", database_url) as other,
        open_channel(one.address) as to_one,
        open_channel(other.address) as to_other,
    ):
        replicas = [Stubs(to_one), Stubs(to_other)]
        reads = OwnReads(replicas)
        done = over_after(
            soak_seconds or SHORT_SECONDS * effort,
            lambda: len(reads.waits) > FEW,
            lambda: soak_seconds is None and len(reads.waits) >= ENOUGH * effort,
        )
        async with under_load(database_url, replicas):
            rpc = (write_by_rpc(replicas[0], number, reads, done) for number in range(RPC_WRITERS))
            sql = (
                write_by_sql(database_url, RPC_WRITERS + number, reads, done) for number in range(SQL_WRITERS)
            )
            await asyncio.gather(*rpc, *sql)
        for channel in (to_one, to_other):
            await assert_sound(channel, database_url)
    record(
        {
            "read your writes": "two processes, an idle transaction, load",
            "writes": reads.writes,
            "token reads": len(reads.waits),
            "stale": reads.stale,
            "p50 ms": reads.milliseconds(0.5),
            "p99 ms": reads.milliseconds(0.99),
        }
    )
    assert reads.stale == 0
    assert len(reads.waits) > FEW
