"""The log has every write that may have been made, also if what came of the commit is not known."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import asyncpg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.domain.errors import DatabaseUnavailableError
from server.domain.writes import WriteCounts, WritingCall, writing_for
from server.store.database import Database
from server.store.pool import Connection
from tests.support.backends import terminate_backends, until_backends

CALL = WritingCall("depgraph.v1.CatalogService/CreateService", "ipv4:127.0.0.1:1")
LOCK = 4_711
# A commit waits for the lock.
SLOW_COMMIT = f"""
CREATE FUNCTION wait_for_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON services DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_for_lock();
SELECT pg_advisory_lock({LOCK});
"""


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def committing(
    database_url: str, connection: asyncpg.Connection
) -> AsyncIterator["asyncio.Task[None]"]:
    """A call whose commit waits for the lock that ``connection`` has."""
    await connection.execute(SLOW_COMMIT)

    async def insert(own: Connection) -> None:
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")

    async def write(database: Database) -> None:
        with writing_for(CALL):
            await database.write(insert, lambda _: WriteCounts(services_created=1))

    async with Database.open(database_url) as database:
        call = asyncio.create_task(write(database))
        await until_backends(connection, "query = 'COMMIT' AND wait_event_type = 'Lock'", 1)
        yield call
        call.cancel()
        with suppress(asyncio.CancelledError, DatabaseUnavailableError):
            await call


async def test_a_write_whose_caller_left_during_the_commit_is_logged(
    committing: "asyncio.Task[None]", logged: list[EventDict]
) -> None:
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert [(line["event"], line["outcome"]) for line in logged] == [("write", "unknown")]


async def test_a_write_whose_connection_broke_during_the_commit_is_logged(
    committing: "asyncio.Task[None]", logged: list[EventDict], connection: asyncpg.Connection
) -> None:
    await terminate_backends(connection)
    with pytest.raises(DatabaseUnavailableError, match="as a whole or not at all"):
        await committing
    assert [(line["event"], line["outcome"]) for line in logged] == [("write", "unknown")]


async def test_a_write_whose_caller_waited_for_the_commit_is_logged_as_made(
    committing: "asyncio.Task[None]", logged: list[EventDict], connection: asyncpg.Connection
) -> None:
    await connection.execute(f"SELECT pg_advisory_unlock({LOCK})")
    await committing
    assert [(line["event"], line.get("outcome")) for line in logged] == [("write", None)]
