"""
The connection of a migration run, its lock against other runs, and its errors.

Without Alembic, which a process that only looks for pending migrations need not import.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import asyncpg

from server.domain.errors import DatabaseUnavailableError, DomainError, InvalidInputError
from server.postgres import DRIVER_ERRORS, DatabaseUrlError, Session, cause_of, connect

CONNECT_TIMEOUT = timedelta(seconds=10)
# "depgraph" in ASCII. Advisory locks are per database, so databases of one server do not wait for
# each other.
LOCK_KEY = int.from_bytes(b"depgraph", "big")
_POLL = timedelta(milliseconds=50)

# A step may wait long for itself, between two statements say.
_SESSION = Session(
    name="depgraph migrate", limit=CONNECT_TIMEOUT, settings={"idle_in_transaction_session_timeout": "0"}
)

# Alembic keeps the running migration in module globals, so one process runs one at a time, whatever
# its event loops.
_this_process = threading.Lock()

# The server went away, is going, has no space, or takes no writes: nothing is wrong with the
# migration itself.
_UNAVAILABLE = (
    ConnectionError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


class MigrationError(DomainError):
    """The schema can't get to the revision asked for, and trying again changes nothing."""


class UnknownRevisionError(MigrationError, InvalidInputError):
    """There is no such revision or range of revisions."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """
    Open a connection, closed at the end.

    ``InvalidInputError`` when the URL makes no sense, ``DatabaseUnavailableError`` when no server
    answers or lets us in.
    """
    try:
        connection = await connect(url, _SESSION)
    except DatabaseUrlError as error:
        raise InvalidInputError(f"The database URL can't be used: {error}.") from error
    except DRIVER_ERRORS as error:
        raise DatabaseUnavailableError(f"Can't connect to the database: {_said(error)}.") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT.total_seconds())


async def current_revision(connection: asyncpg.Connection) -> str | None:
    """Read the revision of the schema; None = nothing is there yet."""
    try:
        current: str | None = await connection.fetchval("SELECT version_num FROM public.alembic_version")
    except asyncpg.UndefinedTableError:
        return None
    return current


async def lock(connection: asyncpg.Connection, patience: timedelta) -> None:
    """
    Take the migration lock of the database; the end of the connection releases it.

    ``DatabaseUnavailableError`` when another run holds it for longer than ``patience``.
    """
    clock = asyncio.get_running_loop()
    deadline = clock.time() + patience.total_seconds()
    # Asks again and again rather than waiting inside one statement: that statement would hold a
    # snapshot, for which a CREATE INDEX CONCURRENTLY of the run that has the lock would wait in
    # turn.
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if clock.time() >= deadline:
            raise DatabaseUnavailableError(
                f"Another process has been migrating this database for {patience.total_seconds():g} s; "
                "try again when it is done."
            )
        await asyncio.sleep(_POLL.total_seconds())


@asynccontextmanager
async def alone_in_process() -> AsyncIterator[None]:
    """Keep the other tasks and threads of this process from running Alembic meanwhile."""
    while not _this_process.acquire(blocking=False):  # noqa: ASYNC110 - an asyncio.Event belongs to one event loop
        await asyncio.sleep(_POLL.total_seconds())
    try:
        yield
    finally:
        _this_process.release()


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turn what the driver raises into ``MigrationError`` or ``DatabaseUnavailableError``."""
    try:
        yield
    except (*_UNAVAILABLE, asyncpg.PostgresError) as error:
        raise translated(error) from error


def translated(error: BaseException) -> DomainError:
    """Return what the migration failed with, in the domain's words."""
    if isinstance(error, _UNAVAILABLE):
        return DatabaseUnavailableError(f"The database went away or takes no writes: {_said(error)}.")
    return MigrationError(f"The database refused: {first_line(error)}.")


def _said(error: BaseException) -> str:
    """Explain an error, with its own first line, for the operator; callers never see it."""
    cause, line = cause_of(error), first_line(error)
    if cause is None or cause.found in line:
        return line
    return f"{cause.found} ({line}): {cause.advice}"


def first_line(error: BaseException) -> str:
    """Say what happened, without the details below it, which may quote SQL."""
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
