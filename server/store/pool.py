"""
Connections to PostgreSQL, lent one at a time and never dead ones.

asyncpg's pool keeps them, and opens lazily, so it exists while the database is away. Here a
connection that lay idle is probed before it is lent, one that is too old is replaced, and after one
broke, all that are as old are replaced.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import asyncpg

from server.domain.errors import DatabaseUnavailableError, TooManyConnectionsError
from server.postgres import DRIVER_ERRORS, Session, connect
from server.postgres.causes import SCHEMA_ERRORS, ReadOnlyAndEmptyError
from server.store import query
from server.store.failures import is_lost_connection, translated

if TYPE_CHECKING:
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection  # generic in its stubs only

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

_PING = query("database_ping")
_PING_TIMEOUT = 1.0
_PROBE_AFTER = 5.0
_HAND_BACK_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 0.5


class _AgeingConnection(_Base):
    """A connection with the monotonic times when it was opened and last used (None = never)."""

    __slots__ = ("opened_at", "used_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened_at = time.monotonic()
        self.used_at: float | None = None

    def touch(self) -> None:
        """Remember that it answered just now."""
        self.used_at = time.monotonic()


class ConnectionPool:
    """
    At most ``size`` connections, opened when they are needed.

    They are closed when idle for ``idle_lifetime``, and replaced when older than ``recycle_after``.
    No statement may take longer than ``command_timeout``.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        recycle_after: timedelta = timedelta(hours=1),
        idle_lifetime: timedelta = timedelta(minutes=1),
        acquire_timeout: timedelta = timedelta(seconds=2),
        command_timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self._recycle_after = recycle_after.total_seconds()
        self._acquire_timeout = acquire_timeout.total_seconds()
        self._distrust_before = 0.0
        session = Session(limit=acquire_timeout, command_timeout=command_timeout, probes=False)

        async def opened(*_: Any, **__: Any) -> _Base:
            return await connect(url, session, _AgeingConnection)

        self._pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=idle_lifetime.total_seconds(),
            connection_class=_AgeingConnection,
            connect=opened,
            reset=_keep_session,
        )

    async def open(self) -> None:
        """Get ready to lend; connects to nothing yet."""
        await self._pool

    async def close(self) -> None:
        """
        Wait for what is lent, for half a second at most, then close every connection.

        What is still lent then is being rolled back, which the server does by itself.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._pool.close()

    @property
    def lent(self) -> int:
        """How many connections are in use now."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """
        Lend a connection that answers, for the time of the block.

        Raises ``TooManyConnectionsError`` when all stay busy for ``acquire_timeout``,
        ``DatabaseUnavailableError`` when none can be opened in that time. A statement still running
        at the end of the block is cancelled on the server.
        """
        connection = await self._borrow()
        # Taken now: a proxy lets go of its connection once that is closed.
        ageing = cast("_AgeingConnection", connection)
        opened_at, touch = ageing.opened_at, ageing.touch
        try:
            yield connection
        except DRIVER_ERRORS as error:
            if is_lost_connection(error):
                self._distrust(opened_at)
            if isinstance(error, SCHEMA_ERRORS):
                # What the server reported at the start.
                reported = connection.get_settings()
                if getattr(reported, "default_transaction_read_only", "off") == "on":
                    raise ReadOnlyAndEmptyError from error
            raise
        finally:
            touch()
            with contextlib.suppress(*DRIVER_ERRORS), cut_off(connection):
                await self._pool.release(connection, timeout=_HAND_BACK_TIMEOUT)

    def _distrust(self, opened_at: float) -> None:
        """
        Lend no connection that is open now again.

        One that was opened then broke: the others are likely dead too.
        """
        if opened_at >= self._distrust_before:
            self._distrust_before = time.monotonic()

    async def _borrow(self) -> Connection:
        try:
            async with asyncio.timeout(self._acquire_timeout):
                with translated(but=TimeoutError):
                    return await self._next_that_answers()
        except TimeoutError:
            if self._pool.get_size() == (largest := self._pool.get_max_size()):
                raise TooManyConnectionsError(
                    f"all {largest} database connections are busy: try again later"
                ) from None
            raise DatabaseUnavailableError(
                "the database does not accept connections in time: try again later"
            ) from None

    async def _next_that_answers(self) -> Connection:
        while True:
            connection = await self._pool.acquire()
            try:
                if await self._answers(connection):
                    return connection
            except BaseException:
                drop(connection)
                raise
            drop(connection)

    async def _answers(self, connection: Connection) -> bool:
        ageing = cast("_AgeingConnection", connection)
        now = time.monotonic()
        if ageing.opened_at < self._distrust_before:
            return False
        if ageing.used_at is None:
            return True
        if now - ageing.opened_at > self._recycle_after:
            return False
        if now - ageing.used_at < _PROBE_AFTER:
            return not connection.is_closed()
        try:
            await connection.fetchval(_PING, timeout=_PING_TIMEOUT)
        except DRIVER_ERRORS:
            return False
        return True


def drop(connection: Connection) -> None:
    """Close a connection hard, which frees its place in the pool; no effect if it is closed."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


@contextlib.contextmanager
def cut_off(connection: Connection) -> Iterator[None]:
    """
    Close the connection hard if the block, which tidies it up, takes more than five seconds.

    A silent peer would otherwise keep a cancelled call waiting for its statement's timeout.
    """
    timer = asyncio.get_running_loop().call_later(_HAND_BACK_TIMEOUT, drop, connection)
    try:
        yield
    finally:
        timer.cancel()


async def _keep_session(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Skip the reset of a session: no statement changes it for longer than a transaction."""
