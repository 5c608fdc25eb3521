"""The feed's own connection: it listens and reads, and is cut when the server does not answer."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg

from server.feed import statements
from server.postgres import Session as SessionSettings
from server.postgres import connect

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

CHANNEL = "depgraph_changes"
# A page is decoded in one go, within 2 ms.
PAGE = 500
# Below deadlock_timeout (1 s by default), so that in a deadlock with DDL the feed gives way.
LOCK_TIMEOUT = timedelta(milliseconds=500)


class Session(NamedTuple):
    """A session of the server. Process ids are reused, so its start is part of its identity."""

    pid: int
    began: datetime


class FeedConnection:
    """
    A connection of its own (a pool would drop its LISTEN), direct to the primary.

    If a round trip takes longer than ``limit``, the connection is cut, and the call raises as for
    any lost connection. Cancelling an asyncpg call would wait again on a dead peer.
    """

    def __init__(self, connection: asyncpg.Connection, limit: timedelta) -> None:
        self._connection = connection
        self._limit = limit.total_seconds()
        self._prepared: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self.holds_log = False
        """Whether this session keeps the change log from being pruned."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, limit: timedelta, wake: Callable[[], None] | None = None, name: str = "depgraph feed"
    ) -> AsyncIterator["FeedConnection"]:
        """Connect, call ``wake`` on every notification, and cut the connection at the end."""
        connection = await connect(url, _session(name, limit))
        try:
            feed = cls(connection, limit)
            if wake is not None:
                await feed._listen(wake)
            yield feed
        finally:
            connection.terminate()

    async def _listen(self, wake: Callable[[], None]) -> None:
        # It prepares its LISTEN first.
        with self._round_trip(times=2):
            await self._connection.add_listener(CHANNEL, lambda *_: wake())

    async def take_over(self, before: Session | None) -> Session | None:
        """
        End the session ``before`` if the server still keeps it; returns this session.

        The server may keep a session whose connection was cut here, with its locks; its timeouts
        don't end all such sessions. None where a pooler keeps the session, which may serve another
        client later.
        """
        row = await self.row(statements.TAKE_OVER, *(before or (None, None)))
        own = Session(row["pid"], row["backend_start"])
        return own if own.pid == self._connection.get_server_pid() else None

    async def hold_log(self) -> None:
        """
        Keep the change log from being pruned until ``release_log``; may be repeated.

        Waits for a running pruner; ``asyncpg.LockNotAvailableError`` after ``LOCK_TIMEOUT``.
        """
        if not self.holds_log:
            await self.row(statements.HOLD_LOG)
            self.holds_log = True

    async def release_log(self) -> None:
        """Allow pruning again; no round trip if the log is not held."""
        if self.holds_log:
            await self.row(statements.RELEASE_LOG)
            self.holds_log = False

    async def execute(self, script: str) -> None:
        """Run statements without results."""
        with self._round_trip():
            await self._connection.execute(script)

    async def row(self, query: str, *arguments: Any) -> asyncpg.Record:
        """Run a query that returns exactly one row."""
        statement = await self._statement(query)
        with self._round_trip():
            found = await statement.fetchrow(*arguments)
        if found is None:
            raise LookupError(query)
        return found

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run a query that returns about ``PAGE`` rows at most."""
        statement = await self._statement(query)
        with self._round_trip():
            return await statement.fetch(*arguments)

    async def pages(self, query: str, *arguments: Any) -> AsyncIterator[list[asyncpg.Record]]:
        """Run a query of any number of rows, ``PAGE`` at a time; inside a transaction only."""
        statement = await self._statement(query)
        with self._round_trip():
            cursor = await statement.cursor(*arguments)
        while True:
            with self._round_trip():
                page = await cursor.fetch(PAGE)
            if not page:
                return
            yield page

    async def copy(self, query: str) -> AsyncGenerator[bytes, None]:
        """
        Run a query of any number of rows, inside a transaction; yield its binary COPY stream.

        Pieces end anywhere. While the caller works on a piece, nothing more is read; each piece has
        ``limit`` to arrive. Close the generator (``aclosing``) to end a copy whose rest is not
        wanted.
        """
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def output(piece: bytes) -> None:
            pieces.put_nowait(piece)
            await pieces.join()

        # The query goes in parentheses, where no statement may end.
        copying = asyncio.ensure_future(
            self._connection.copy_from_query(query.removesuffix(";"), output=output, format="binary")
        )
        copying.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await self._in_time(pieces)) is not None:
                yield piece
                pieces.task_done()
            await copying
        finally:
            copying.cancel()
            await asyncio.gather(copying, return_exceptions=True)

    async def _in_time(self, pieces: "asyncio.Queue[bytes | None]") -> bytes | None:
        with self._round_trip():
            return await pieces.get()

    async def _statement(self, query: str) -> "PreparedStatement[asyncpg.Record]":
        # Prepare in a round trip of its own: between preparing and running within one call the
        # server would hold locks, and none of its timeouts apply.
        if query not in self._prepared:
            with self._round_trip():
                self._prepared[query] = await self._connection.prepare(query)
        return self._prepared[query]

    @contextmanager
    def _round_trip(self, times: int = 1) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(times * self._limit, self._connection.terminate)
        try:
            yield
        finally:
            timer.cancel()


def _session(name: str, limit: timedelta) -> SessionSettings:
    twice = str(int(limit.total_seconds() * 2000))
    seconds = str(math.ceil(limit.total_seconds()))
    return SessionSettings(
        name=name,
        limit=limit,
        settings={
            "search_path": "pg_catalog",
            "lock_timeout": str(int(LOCK_TIMEOUT.total_seconds() * 1000)),
            # If this process vanishes, its locks must not hold up DDL for long.
            "idle_in_transaction_session_timeout": twice,
            "tcp_keepalives_idle": seconds,
            "tcp_keepalives_interval": seconds,
            "tcp_user_timeout": twice,
        },
    )
