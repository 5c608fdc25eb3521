"""Writers in each other's way: deadlocks and serialization failures, once and again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest

from server.postgres import session
from tests.support.backends import backends, until_backends
from tests.support.deadlines import before_its_deadline
from tests.support.failures import failure_of
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.soundness import AT_WORK
from tests.support.whole_server import BATCH, FIRST, WholeServer, batch_of, teams_in_tables

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

ATTEMPTS = 4
TOUCH = "UPDATE services SET team = team WHERE service_id = '{}'"


def waits_for(other: asyncpg.Connection) -> str:
    """Tell of a session of the server's pool that it waits for what another session holds."""
    return f"application_name = 'depgraph' AND {other.get_server_pid()} = ANY (pg_blocking_pids(pid))"


async def server_waits_for(observer: asyncpg.Connection, other: asyncpg.Connection) -> None:
    """Wait until a session of the server's pool waits for what another session holds."""
    await until_backends(observer, waits_for(other), 1)


def is_blocked(session: asyncpg.Connection) -> str:
    """Tell of a session that it waits for a lock."""
    return f"pid = {session.get_server_pid()} AND wait_event_type = 'Lock'"


class Rival:
    """
    Another program deadlocks with the server again and again; the server is always the victim.

    It holds the last service of the batch and requests the first as soon as the server has locked
    it. A gate in the middle of the batch keeps the server from the last until then, because a
    session looks for a deadlock only once, a moment after it began to wait.
    """

    def __init__(
        self, session: asyncpg.Connection, gate: asyncpg.Connection, observer: asyncpg.Connection
    ) -> None:
        self._session = session
        self._gate = gate
        self._observer = observer

    @classmethod
    @asynccontextmanager
    async def begun(cls, database_url: str, observer: asyncpg.Connection) -> AsyncIterator["Rival"]:
        """Hold the last service, with the gate closed."""
        async with connected(database_url) as session, connected(database_url) as gate:
            rival = cls(session, gate, observer)
            await session.execute("SET deadlock_timeout = '10min'; BEGIN; " + TOUCH.format(BATCH[-1]))
            await rival._close_the_gate()
            yield rival

    async def server_is_at_the_gate(self) -> bool:
        """Whether the server has locked the first service and waits for the one in the middle."""
        return len(await backends(self._observer, waits_for(self._gate))) == 1

    async def deadlock(self) -> None:
        """Come back once the server has yielded; the first service is held then."""
        await server_waits_for(self._observer, self._gate)
        asking = asyncio.create_task(self._session.execute("SAVEPOINT before; " + TOUCH.format(BATCH[0])))
        while not asking.done() and not await backends(self._observer, is_blocked(self._session)):
            await asyncio.sleep(0.005)
        await self._gate.execute("ROLLBACK")
        await asking

    async def server_waits_again(self) -> None:
        """Wait until the server tries again, and waits for the first service."""
        await server_waits_for(self._observer, self._session)

    async def let_go_of_the_first(self) -> None:
        """Let the server begin anew, up to the gate."""
        await self._close_the_gate()
        await self._session.execute("ROLLBACK TO SAVEPOINT before")

    async def is_done(self) -> None:
        """Let go of everything."""
        await self._session.execute("COMMIT")
        await self._gate.execute("ROLLBACK")

    async def _close_the_gate(self) -> None:
        await self._gate.execute("BEGIN; " + TOUCH.format(BATCH[len(BATCH) // 2]))


@pytest.fixture
async def quick_deadlocks(database_url: str, connection: asyncpg.Connection) -> None:
    """Whoever connects to the test's database from now on sees a deadlock after 20 ms."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET deadlock_timeout = 20')


async def test_a_write_that_yields_in_a_deadlock_is_made_once_the_other_is_done(
    database_url: str, quick_deadlocks: None, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        WholeServer.opened(database_url, record) as server,
        Rival.begun(database_url, connection) as rival,
    ):
        write = asyncio.create_task(server.outcome("second"))
        await rival.deadlock()
        await rival.server_waits_again()
        await rival.is_done()
        assert await write is None
        assert await teams_in_tables(database_url) == {"second"}
        await server.recovers("deadlock, resolved")
        assert server.onlooker.teams == [FIRST, "second"]


async def test_a_deadlock_that_persists_is_given_up_after_a_few_attempts(
    database_url: str, quick_deadlocks: None, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        WholeServer.opened(database_url, record) as server,
        Rival.begun(database_url, connection) as rival,
    ):
        write = asyncio.create_task(server.outcome("second"))
        for _ in range(ATTEMPTS):
            await rival.deadlock()
            await rival.let_go_of_the_first()
        failure = await write
        assert failure is not None
        assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "WRITE_CONFLICT")
        await rival.is_done()
        assert await teams_in_tables(database_url) == {FIRST}
        await server.recovers("deadlock, again and again", attempts=ATTEMPTS)


async def test_a_write_is_not_tried_again_after_its_deadline(
    database_url: str, quick_deadlocks: None, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        WholeServer.opened(database_url, record) as server,
        Rival.begun(database_url, connection) as rival,
    ):
        upsert = server.stubs.catalog.BatchUpsertServices
        write = await before_its_deadline(
            lambda deadline: upsert(batch_of("second"), timeout=deadline),
            rival.server_is_at_the_gate,
            first=1,
        )
        await rival.deadlock()
        assert (await failure_of(write)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        await until_backends(connection, AT_WORK, 0)
        await rival.is_done()
        assert await teams_in_tables(database_url) == {FIRST}
        await server.recovers("deadline in the middle of retries")


@pytest.fixture
def strict_isolation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction of the server fails, by default, when its rows changed after its snapshot."""
    # No role or database can impose that on the server: it replaces what they say.
    strict = {**session.COMMON, "default_transaction_isolation": "repeatable read"}
    monkeypatch.setattr(session, "COMMON", strict)


async def overtake_again_and_again(
    one: asyncpg.Connection, other: asyncpg.Connection, observer: asyncpg.Connection, times: int
) -> None:
    """
    Let a write of the server fail so many times; what it waits for then is let go of.

    It waits for the rows of the batch in turn. Each next row is locked before the row that it waits
    for is committed.
    """
    for row in range(times):
        await server_waits_for(observer, one)
        await hold(other, row + 1)
        await one.execute("COMMIT")
        one, other = other, one
    await one.execute("ROLLBACK")


async def hold(session: asyncpg.Connection, row: int) -> None:
    """Change a row of the batch, in a transaction that goes on."""
    await session.execute("BEGIN ISOLATION LEVEL READ COMMITTED; " + TOUCH.format(BATCH[row]))


async def test_a_write_that_fails_to_serialize_is_made_anew(
    database_url: str, strict_isolation: None, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        WholeServer.opened(database_url, record) as server,
        connected(database_url) as one,
        connected(database_url) as other,
    ):
        await hold(one, 0)
        write = asyncio.create_task(server.outcome("second"))
        await overtake_again_and_again(one, other, connection, ATTEMPTS - 1)
        assert await write is None
        assert await teams_in_tables(database_url) == {"second"}
        await server.recovers("serialization failure, three in a row")


async def test_a_write_that_fails_to_serialize_again_and_again_is_given_up(
    database_url: str, strict_isolation: None, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        WholeServer.opened(database_url, record) as server,
        connected(database_url) as one,
        connected(database_url) as other,
    ):
        await hold(one, 0)
        write = asyncio.create_task(server.outcome("second"))
        await overtake_again_and_again(one, other, connection, ATTEMPTS)
        failure = await write
        assert failure is not None
        assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "WRITE_CONFLICT")
        assert await teams_in_tables(database_url) == {FIRST}
        await server.recovers("serialization failure, four in a row")
