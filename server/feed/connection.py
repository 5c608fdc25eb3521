"""The feed's own connection: it listens, it reads, and it dies when the other side does not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import asyncpg

CHANNEL = "depgraph_changes"
PAGE = 5_000
# Below deadlock_timeout (1 s unless set): where somebody waits for us to let go of a table, we are the ones who yield.
LOCK_TIMEOUT = timedelta(milliseconds=500)


class FeedConnection:
    """
    One connection of its own (a pool would drop its LISTEN), direct to the primary.

    Every round trip has ``limit`` to finish. When one does not, the connection is cut: cancelling an asyncpg call on a dead
    peer would wait again, for the cancellation. Then the call raises like for any lost connection.
    """

    def __init__(self, connection: asyncpg.Connection, limit: timedelta) -> None:
        self._connection = connection
        self._limit = limit.total_seconds()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, limit: timedelta, wake: Callable[[], None] | None = None, name: str = "depgraph feed"
    ) -> AsyncIterator["FeedConnection"]:
        """Connect, call ``wake``, if given, on every notification from then on, and cut the connection at the end."""
        seconds = limit.total_seconds()
        settings = _session_settings(limit) | {"application_name": name}
        async with asyncio.timeout(seconds * 2):
            connection = await asyncpg.connect(url, timeout=seconds, server_settings=settings)
        try:
            feed = cls(connection, limit)
            if wake is not None:
                await feed._listen(wake)
            yield feed
        finally:
            connection.terminate()

    async def _listen(self, wake: Callable[[], None]) -> None:
        with self._round_trip():
            await self._connection.add_listener(CHANNEL, lambda *_: wake())

    async def execute(self, script: str) -> None:
        """Run statements without results."""
        with self._round_trip():
            await self._connection.execute(script)

    async def row(self, query: str, *arguments: Any) -> asyncpg.Record:
        """Run a query of exactly one row."""
        with self._round_trip():
            found = await self._connection.fetchrow(query, *arguments)
        if found is None:
            raise LookupError(query)
        return found

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a query of at most ``PAGE`` rows or so."""
        with self._round_trip():
            return await self._connection.fetch(query, *arguments)

    async def pages(
        self, query: str, *arguments: Any, size: int = PAGE
    ) -> AsyncIterator[list[asyncpg.Record]]:
        """Run a query of any number of rows, ``size`` at a time; inside a transaction only."""
        with self._round_trip():
            cursor = await self._connection.cursor(query, *arguments)
        while True:
            with self._round_trip():
                page = await cursor.fetch(size)
            if not page:
                return
            yield page

    @contextmanager
    def _round_trip(self) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(self._limit, self._connection.terminate)
        try:
            yield
        finally:
            timer.cancel()


def _session_settings(limit: timedelta) -> dict[str, str]:
    twice = str(int(limit.total_seconds() * 2000))
    return {
        "search_path": "pg_catalog",
        "timezone": "UTC",
        # A generic plan made while the log was empty would scan it when it is full.
        "plan_cache_mode": "force_custom_plan",
        "lock_timeout": str(int(LOCK_TIMEOUT.total_seconds() * 1000)),
        # Should our end vanish, its locks must not hold up DDL for long.
        "idle_in_transaction_session_timeout": twice,
        "tcp_user_timeout": twice,
    }
