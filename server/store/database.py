"""
Reads and writes: which connection runs them, how often, and which errors they raise.

A read is repeated once on another connection when its connection turned out to be dead. So is a
write whose COMMIT was not sent: the server rolled it back, and nothing was written.

A write that a call makes is noted in the account of writes, by the same transaction, and logged.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import structlog

from server.domain.caller import current_caller
from server.domain.errors import DatabaseUnavailableError, InvalidInputError, WriteConflictError
from server.domain.ports import Written
from server.domain.revision import Revision
from server.domain.writes import WriteCounts, writing_call
from server.postgres import DRIVER_ERRORS
from server.postgres.causes import DISK_FULL
from server.store import query
from server.store.failures import UnstorableTextError, is_lost_connection, translated
from server.store.pool import Connection, ConnectionPool, cut_off, drop
from server.store.write_log import WriteLog

log = structlog.get_logger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]
Count = Callable[[T], WriteCounts]

_PING = query("database_ping")
_REVISION = query("database_revision")
_RECORD = query("write_record")
_RETRIES = 3
_FIRST_PAUSE = 0.01
# Writes find rows by key. The planner would rather scan a table that is small, or that statistics
# take for empty; the plans of foreign keys are kept by the session, however large the table grows,
# and a statement that fills a table scans it once for each row it writes.
_BEGIN = "BEGIN; SET LOCAL enable_seqscan = off"
# NUL, and halves of surrogate pairs, which no encoding has.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Database:
    """The database behind a pool."""

    def __init__(
        self, pool: ConnectionPool, no_room: Callable[[], str | None], *, keeps_writes: bool = True
    ) -> None:
        self._pool = pool
        self._no_room = no_room
        self._keeps_writes = keeps_writes
        self._log = WriteLog()
        self._full_since: datetime | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        pool_size: int = 30,
        no_room: Callable[[], str | None] = lambda: None,
        keeps_writes: bool = True,
        **limits: timedelta,
    ) -> AsyncIterator["Database"]:
        """
        Get ready, also while the database is away, and close at the end; see ``ConnectionPool``.

        Writes are refused while ``no_room`` says that the disk is full. ``keeps_writes`` False =
        they are logged, but not in the account.
        """
        pool = ConnectionPool(url, size=pool_size, **limits)
        await pool.open()
        database = cls(pool, no_room, keeps_writes=keeps_writes)
        try:
            yield database
        finally:
            database._log.close()
            await pool.close()

    @property
    def connections_in_use(self) -> int:
        """How many connections of the pool are lent now."""
        return self._pool.lent

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """
        Return all rows of one reading statement.

        No rows if an argument holds a character that the database's encoding does not have.
        """
        try:
            return await self.read(lambda connection: connection.fetch(statement, *arguments))
        except UnstorableTextError:
            return []

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        """Return the first row of one reading statement, or None; arguments as for ``fetch``."""
        try:
            return await self.read(lambda connection: connection.fetchrow(statement, *arguments))
        except UnstorableTextError:
            return None

    async def read(self, work: Work[T]) -> T:
        """Run statements that change nothing, or may be repeated; ``work`` may run twice."""
        with translated():
            return await self._on_live_connection(work)

    @asynccontextmanager
    async def transaction(self, begin: str) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction that ``begin`` begins; the end rolls it back."""
        with translated():
            async with self._pool.lend() as connection:
                try:
                    await connection.execute(begin)
                    yield connection
                finally:
                    await _abandon(connection)

    async def write(self, work: Work[T], counted: Count[T]) -> Written[T]:
        """
        Run ``work`` in one transaction and commit it; its revision is read before the commit.

        If it is for a call, the account of writes gets what ``counted`` makes of the result, and
        triggers can read the caller's principal in ``depgraph.principal``.

        After a deadlock or another collision ``work`` runs again, up to three times with growing,
        jittered pauses; then ``WriteConflictError``. An error or cancellation before the commit
        leaves nothing behind.
        """
        if self._no_room() is not None:
            raise DatabaseUnavailableError(str(DISK_FULL))
        for retry in range(_RETRIES):
            try:
                return await self._write_once(work, counted)
            except WriteConflictError:
                await asyncio.sleep(_FIRST_PAUSE * 2**retry * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await self._write_once(work, counted)

    async def ping(self) -> None:
        """Make one round trip over a connection of the pool."""
        await self.fetchrow(_PING)

    def problems(self) -> tuple[str, ...]:
        """Report that the disk is full, or was at the last write."""
        if (reason := self._no_room()) is not None:
            return (reason,)
        if self._full_since is not None:
            return (f"writes have failed since {self._full_since:%Y-%m-%d %H:%M:%S} UTC: {DISK_FULL}",)
        return ()

    async def _write_once(self, work: Work[T], counted: Count[T]) -> Written[T]:
        principal, call = current_caller().principal, writing_call()

        async def noted(connection: Connection) -> tuple[Written[T], WriteCounts]:
            value = await work(connection)
            counts = counted(value)
            if call is None or not self._keeps_writes or (call.is_periodic and not any(counts)):
                plain = await connection.fetchval(_REVISION)
            else:
                plain = await connection.fetchval(_RECORD, principal, call.method, *counts)
            return Written(value, Revision.of(plain).token), counts

        def log_write(made: tuple[Written[T], WriteCounts], *, is_certain: bool) -> None:
            written, counts = made
            if call is not None and (any(counts) or not call.is_periodic):
                self._log.written(principal, call, counts, written.revision, is_certain=is_certain)

        begin = _begin_as(principal)
        try:
            with translated():
                written, _ = await self._on_live_connection(
                    lambda connection: _transact(connection, begin, noted, log_write)
                )
        except DatabaseUnavailableError as error:
            if isinstance(error.__cause__, asyncpg.DiskFullError) and self._full_since is None:
                self._full_since = datetime.now(UTC)
                log.error("writes fail", cause=str(DISK_FULL))  # noqa: TRY400 - the cause says it all
            raise
        self._full_since = None
        return written

    async def _on_live_connection(self, work: Work[T]) -> T:
        try:
            async with self._pool.lend() as connection:
                return await work(connection)
        except DRIVER_ERRORS as error:
            if not is_lost_connection(error):
                raise
        async with self._pool.lend() as connection:
            return await work(connection)


async def _transact(connection: Connection, begin: str, work: Work[T], committed: Callable[..., None]) -> T:
    """
    Run ``work`` in a transaction and commit it; ``committed`` gets the result, and ``is_certain``.

    A caller that leaves while COMMIT is under way, or a connection that breaks, keeps us from
    knowing whether the write was made.
    """
    try:
        await connection.execute(begin)
        value = await work(connection)
    except BaseException:
        await _abandon(connection)
        raise
    try:
        await connection.execute("COMMIT")
    except DRIVER_ERRORS as error:
        if not (is_lost_connection(error) or isinstance(error, TimeoutError)):
            raise
        committed(value, is_certain=False)
        raise DatabaseUnavailableError(
            "the connection broke during the commit: the write was made as a whole or not at all"
        ) from error
    except asyncio.CancelledError:
        committed(value, is_certain=False)
        raise
    # At once: handing the connection back may be cancelled, too.
    committed(value, is_certain=True)
    return value


def _begin_as(principal: str) -> str:
    """
    Write the command that begins a transaction which triggers see as the principal's.

    All in one message, which takes no parameters. In an E'' literal, quotes and backslashes mean
    the same whatever the session's settings.
    """
    if not principal:
        return _BEGIN
    if _UNSTORABLE.search(principal):
        raise InvalidInputError("the caller's name holds a character that can't be stored")
    literal = principal.replace("\\", "\\\\").replace("'", "''")
    return f"{_BEGIN}; SET LOCAL depgraph.principal = E'{literal}'"


async def _abandon(connection: Connection) -> None:
    """Roll back, or else drop the connection, upon which the server does so."""
    try:
        with cut_off(connection):
            await connection.execute("ROLLBACK")
    except BaseException as error:
        drop(connection)
        if not isinstance(error, DRIVER_ERRORS):
            raise
