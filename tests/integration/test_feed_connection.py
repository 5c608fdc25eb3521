"""The feed's own connection: it cuts off a server that answers too slowly."""

import asyncio
from contextlib import aclosing
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
    async with FeedConnection.open(database_url, LIMIT) as connection:
        async with asyncio.timeout(10):
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await anext(connection.copy(SILENT))


async def test_a_copy_may_take_longer_than_the_limit_while_pieces_arrive(database_url: str) -> None:
    async with FeedConnection.open(database_url, LIMIT) as connection:
        pieces = [piece async for piece in connection.copy(DRIPPING)]
    assert len(b"".join(pieces)) > 8 * 20_000


async def test_the_limit_does_not_count_the_time_of_the_caller(database_url: str) -> None:
    length = 0
    async with FeedConnection.open(database_url, LIMIT) as connection:
        async for piece in connection.copy(WIDE):
            if not length:
                await asyncio.sleep(LIMIT.total_seconds() + 0.05)
            length += len(piece)
    assert length > 20 * 100_000


async def test_a_copy_closed_early_ends_and_the_connection_goes_on(database_url: str) -> None:
    async with FeedConnection.open(database_url, timedelta(seconds=5)) as connection:
        async with aclosing(connection.copy(WIDE)) as pieces:
            await anext(pieces)
        assert (await connection.row("SELECT 1"))[0] == 1


async def test_a_failing_query_raises_its_error(database_url: str) -> None:
    async with FeedConnection.open(database_url, timedelta(seconds=5)) as connection:
        with pytest.raises(asyncpg.UndefinedTableError):
            await anext(connection.copy("SELECT 1 FROM no_such_table"))
        assert (await connection.row("SELECT 1"))[0] == 1
