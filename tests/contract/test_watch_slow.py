"""A watcher that does not read is dropped; the others get every change."""

import asyncio
from datetime import timedelta

import asyncpg
import grpc
import pytest

from server.app import Application
from server.config import Settings, WatchSettings
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import read_failure
from tests.support.watching import HEARTBEAT, Watcher, expected

ROWS = 20
LARGE = "UPDATE services SET metadata = jsonb_build_object('n', $1::int, 'text', repeat('x', 200000))"


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50), max_pending_rows=ROWS),
    )


async def read_to_the_end(watcher: Watcher) -> grpc.aio.AioRpcError:
    try:
        while True:
            await watcher.batch()
    except grpc.aio.AioRpcError as error:
        watcher.parts.clear()
        return error


async def test_a_watcher_that_does_not_read_is_dropped_and_may_resume(
    channel: grpc.aio.Channel, connection: asyncpg.Connection, application: Application
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('a')")
    reader = Watcher(channel, include_state=True)
    while not reader.mirror.services:
        await reader.batch()
    async with open_channel(application.address) as sleepy:
        slow = Watcher(sleepy, include_state=True)
        await slow.batch()
        subscriptions = application.replica.subscriptions
        assert len(subscriptions) == 2
        number = 0
        async with asyncio.timeout(60):
            while len(subscriptions) == 2:
                number += 1
                await connection.execute(LARGE, number)
                await reader.changes()
        await eventually(lambda: len(subscriptions) == 1)
        failure = read_failure(await read_to_the_end(slow))
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "WATCHER_TOO_SLOW")
        assert failure.retry_after is not None
        slow.mirror.interrupted()
        again = Watcher(sleepy, slow.mirror, revision=slow.mirror.revision)
        await again.batch()
        assert (slow.mirror.services, slow.mirror.dependencies) == await expected(connection)
    assert reader.mirror.resets == 1
    assert reader.mirror.batches > ROWS
    assert (reader.mirror.services, reader.mirror.dependencies) == await expected(connection)


async def test_one_batch_above_the_bound_does_not_drop_a_reading_watcher(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    watcher = Watcher(channel, include_state=True)
    await watcher.batch()
    await connection.execute(
        "INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 1000) AS n"
    )
    assert len((await watcher.changes()).upserted_services) == 1_000
    assert (await watcher.batch()).event == HEARTBEAT
