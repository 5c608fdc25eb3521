"""The feed's own connection: whatever comes too slowly from the other side is cut off."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from server.feed.connection import FeedConnection

LIMIT = timedelta(seconds=0.4)
SILENT = "SELECT pg_sleep(30)"
# Rows that come one by one, twice as long as the limit altogether.
DRIPPING = "SELECT repeat('x', 20000) || pg_sleep(0.1)::text FROM generate_series(1, 8)"
WIDE = "SELECT repeat('x', 100000) FROM generate_series(1, 20)"


async def test_a_copy_that_brings_nothing_within_the_limit_is_cut(database_url: str) -> None:
    async def take(_: bytes) -> None:
        pytest.fail("nothing comes")

    async with FeedConnection.open(database_url, LIMIT) as connection:
        async with asyncio.timeout(10):
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await connection.copy(SILENT, take)


async def test_a_copy_that_goes_on_may_take_longer_than_the_limit(database_url: str) -> None:
    pieces: list[bytes] = []

    async def take(piece: bytes) -> None:
        pieces.append(piece)

    async with FeedConnection.open(database_url, LIMIT) as connection:
        await connection.copy(DRIPPING, take)
    assert len(b"".join(pieces)) > 8 * 20_000


async def test_whoever_takes_its_time_with_what_came_is_not_cut_off(database_url: str) -> None:
    length = 0

    async def take(piece: bytes) -> None:
        nonlocal length
        if not length:
            await asyncio.sleep(LIMIT.total_seconds() + 0.05)
        length += len(piece)

    async with FeedConnection.open(database_url, LIMIT) as connection:
        await connection.copy(WIDE, take)
    assert length > 20 * 100_000


async def test_an_error_of_the_taker_ends_the_copy_and_the_connection_goes_on(database_url: str) -> None:
    async def take(_: bytes) -> None:
        raise LookupError

    async with FeedConnection.open(database_url, timedelta(seconds=5)) as connection:
        with pytest.raises(LookupError):
            await connection.copy(WIDE, take)
        assert (await connection.row("SELECT 1"))[0] == 1
