"""Pool connections: lent, refused, replaced and cleaned up, whatever happens to the database."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import asyncpg
import pytest

from server.domain.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    ServiceAlreadyExistsError,
    TooManyConnectionsError,
    WriteConflictError,
)
from server.domain.services import ServiceDraft, ServiceFilter, ServiceKey
from server.domain.writes import WriteCounts
from server.store import pool
from server.store.database import Database
from server.store.pool import Connection
from server.store.services import ServiceRepository
from tests.support.backends import backends, terminate_backends, until_backends
from tests.support.drafts import services
from tests.support.relay import Relay

RUNNING = "state <> 'idle'"
# Connecting takes its time on a slow machine.
PATIENT = timedelta(seconds=30)


async def answers(database: Database) -> bool:
    try:
        async with asyncio.timeout(2):
            await database.ping()
    except Exception:  # noqa: BLE001 - whatever went wrong, the answer is no
        return False
    return True


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url, acquire_timeout=PATIENT) as database:
        yield database


@pytest.fixture
def nobody_listens() -> Iterator[str]:
    """The URL of a port of the loopback where nothing listens or can listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://someone:secret@127.0.0.1:{taken.getsockname()[1]}/nothing"


async def own_pid(connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


def uncounted(_: object) -> WriteCounts:
    return WriteCounts()


async def hold(connection: Connection) -> None:
    await connection.execute("SELECT pg_sleep(60)")


async def test_the_pool_opens_while_the_database_is_away_and_errors_hide_its_address(
    nobody_listens: str,
) -> None:
    async with Database.open(nobody_listens) as database:
        repository = ServiceRepository(database)
        assert not await answers(database)
        for call in (
            repository.get(ServiceKey(service_id="a")),
            repository.page(ServiceFilter(), 10, None),
            repository.upsert(services("a")),
        ):
            with pytest.raises(DatabaseUnavailableError, match="can't be reached") as caught:
                await call
            assert "secret" not in str(caught.value)
            assert "127.0.0.1" not in str(caught.value)
            assert caught.value.retry_after > timedelta(0)


async def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(database_url: str) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    mute = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    url = f"postgresql://someone@127.0.0.1:{port}/nothing"
    async with mute, Database.open(url, acquire_timeout=timedelta(milliseconds=50)) as database:
        with pytest.raises(DatabaseUnavailableError, match="in time"):
            await database.fetch("SELECT 1")
        assert not await answers(database)


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:no-port/x", "not a url"])
async def test_an_address_that_makes_no_sense_is_an_unavailable_database(url: str) -> None:
    async with Database.open(url) as database:
        assert not await answers(database)


async def test_a_database_that_answers_is_healthy(database: Database) -> None:
    assert await answers(database)


async def test_a_closed_pool_is_not_healthy_and_refuses_work(database_url: str) -> None:
    async with Database.open(database_url) as database:
        assert await answers(database)

    assert not await answers(database)
    with pytest.raises(DatabaseUnavailableError):
        await database.fetch("SELECT 1")


async def test_no_more_connections_than_the_size_of_the_pool_are_opened(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with Database.open(database_url, pool_size=3, acquire_timeout=PATIENT) as database:
        await asyncio.gather(*(database.fetch("SELECT pg_sleep(0.01)") for _ in range(20)))
        assert len(await backends(connection)) == 3


async def test_a_busy_pool_refuses_the_next_caller_and_serves_later_ones(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.open(database_url, pool_size=2, acquire_timeout=PATIENT) as database:
        busy = [asyncio.create_task(database.read(hold)) for _ in range(2)]
        await until_backends(connection, "query LIKE '%pg_sleep%'", 2)

        with monkeypatch.context() as impatient:
            impatient.setattr(database._pool, "_acquire_timeout", 0.05)
            with pytest.raises(TooManyConnectionsError, match="all 2 database connections are busy"):
                await database.fetch("SELECT 1")

        busy[0].cancel()
        await asyncio.wait(busy[:1])
        assert await database.fetchrow("SELECT 1")
        busy[1].cancel()
        await asyncio.wait(busy)


async def test_connections_that_lie_idle_are_closed(
    database_url: str, connection: asyncpg.Connection
) -> None:
    short = timedelta(milliseconds=50)
    async with Database.open(database_url, idle_lifetime=short) as database:
        await asyncio.gather(*(database.fetch("SELECT 1") for _ in range(5)))
        await until_backends(connection, "true", 0)
        assert await answers(database)


@pytest.mark.parametrize(("recycle_after", "connections"), [(timedelta(hours=1), 1), (timedelta(0), 3)])
async def test_a_connection_is_replaced_once_it_is_too_old(
    database_url: str, recycle_after: timedelta, connections: int
) -> None:
    async with Database.open(database_url, recycle_after=recycle_after) as database:
        assert len({await database.read(own_pid) for _ in range(3)}) == connections


async def test_after_the_server_ended_every_connection_the_very_next_calls_succeed(
    database: Database, connection: asyncpg.Connection
) -> None:
    repository = ServiceRepository(database)
    for turn in range(5):
        held = [asyncio.create_task(database.fetch("SELECT pg_sleep(0.05)")) for _ in range(8)]
        await asyncio.gather(*held)
        assert await terminate_backends(connection) >= 8

        reads = [repository.page(ServiceFilter(), 1, None) for _ in range(10)]
        writes = [repository.create(ServiceDraft(service_id=f"{turn}-{number}")) for number in range(10)]
        await asyncio.gather(*reads, *writes)

    assert len((await repository.page(ServiceFilter(), 100, None)).rows) == 50


async def test_a_write_whose_connection_breaks_before_its_commit_is_made_once(
    database: Database, connection: asyncpg.Connection
) -> None:
    attempts: list[int] = []

    async def break_the_first_time(own: Connection) -> None:
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")
        attempts.append(await own_pid(own))
        if len(attempts) == 1:
            await connection.execute("SELECT pg_terminate_backend($1)", attempts[0])
            await own.execute("SELECT 1")

    await database.write(break_the_first_time, uncounted)

    assert len(set(attempts)) == 2
    assert await connection.fetchval("SELECT count(*) FROM services") == 1


async def test_a_write_whose_connections_keep_breaking_is_given_up_and_leaves_nothing(
    database: Database, connection: asyncpg.Connection
) -> None:
    async def always_break(own: Connection) -> None:
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")
        await connection.execute("SELECT pg_terminate_backend($1)", await own_pid(own))
        await own.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailableError):
        await database.write(always_break, uncounted)

    assert await connection.fetchval("SELECT count(*) FROM services") == 0


async def test_an_idle_connection_that_fell_silent_is_replaced_before_it_is_lent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_PING_TIMEOUT", 0.05)
    async with (
        Relay(database_url).running() as relay,
        Database.open(relay.url, acquire_timeout=PATIENT) as database,
    ):
        first = await database.read(own_pid)
        relay.fall_silent()
        monkeypatch.setattr(pool, "_PROBE_AFTER", 0.0)

        assert await database.read(own_pid) != first


async def test_a_cancelled_write_leaves_no_query_running_and_no_row(
    database: Database, connection: asyncpg.Connection
) -> None:
    async def write_and_wait(own: Connection) -> None:
        await own.execute("INSERT INTO services (service_id) VALUES ('half')")
        await hold(own)

    write = asyncio.create_task(database.write(write_and_wait, uncounted))
    await until_backends(connection, "query LIKE '%pg_sleep%'", 1)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write

    await until_backends(connection, RUNNING, 0)
    assert await connection.fetchval("SELECT count(*) FROM services") == 0
    assert await answers(database)


async def test_a_batch_cancelled_while_it_waits_for_a_lock_writes_nothing(
    database: Database, connection: asyncpg.Connection
) -> None:
    repository = ServiceRepository(database)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO services (service_id) VALUES ('m')")
    upsert = asyncio.create_task(repository.upsert(services("a", "m", "z")))
    await until_backends(connection, "wait_event_type = 'Lock'", 1)
    upsert.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upsert

    await until_backends(connection, RUNNING, 0)
    await transaction.rollback()
    assert (await repository.page(ServiceFilter(), 10, None)).rows == ()


@pytest.mark.parametrize("moment", range(12))
async def test_a_write_cancelled_at_any_moment_is_whole_or_not_there(
    database: Database, connection: asyncpg.Connection, moment: int
) -> None:
    names = [f"s{number}" for number in range(300)]
    write = asyncio.create_task(ServiceRepository(database).upsert(services(*names)))
    await asyncio.sleep(moment * 0.003)
    write.cancel()
    await asyncio.wait([write])

    await until_backends(connection, RUNNING, 0)
    assert await connection.fetchval("SELECT count(*) FROM services") in (0, 300)
    assert await answers(database)


async def test_a_statement_that_takes_too_long_is_cancelled_on_the_server(
    database_url: str, connection: asyncpg.Connection
) -> None:
    # What a connection says of itself at its beginning has as long, too.
    brief = timedelta(milliseconds=500)
    async with Database.open(database_url, command_timeout=brief, acquire_timeout=PATIENT) as database:
        with pytest.raises(DatabaseUnavailableError, match="too long"):
            await database.write(hold, uncounted)
        await until_backends(connection, RUNNING, 0)


async def test_of_two_writes_that_block_each_other_both_succeed(
    database: Database, connection: asyncpg.Connection
) -> None:
    await ServiceRepository(database).upsert(services("a", "b"))
    both_hold_one, other_is_done = asyncio.Barrier(2), asyncio.Event()
    attempts: list[str] = []

    async def touch(own: Connection, first: str, second: str) -> None:
        attempts.append(first)
        # Tried again at once, it might lock its row before the other gets it.
        if len(attempts) > 2:
            await other_is_done.wait()
        await own.execute("UPDATE services SET team = $1 WHERE service_id = $2", first, first)
        if len(attempts) <= 2:
            await both_hold_one.wait()
        await own.execute("UPDATE services SET team = $1 WHERE service_id = $2", first, second)

    async def write(first: str, second: str) -> None:
        await database.write(lambda own: touch(own, first, second), uncounted)
        other_is_done.set()

    await asyncio.gather(write("a", "b"), write("b", "a"))

    assert len(attempts) == 3
    teams = await connection.fetch("SELECT DISTINCT team FROM services")
    assert len(teams) == 1


async def test_a_write_that_keeps_colliding_is_given_up_after_three_more_attempts(
    database: Database, connection: asyncpg.Connection
) -> None:
    attempts: list[int] = []

    async def collide(own: Connection) -> None:
        attempts.append(1)
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")
        await own.execute("DO $$ BEGIN RAISE serialization_failure; END $$")

    with pytest.raises(WriteConflictError):
        await database.write(collide, uncounted)

    assert len(attempts) == 4
    assert await connection.fetchval("SELECT count(*) FROM services") == 0


async def test_an_error_of_the_domain_ends_a_write_at_once_and_rolls_it_back(
    database: Database, connection: asyncpg.Connection
) -> None:
    attempts: list[int] = []

    async def change_my_mind(own: Connection) -> None:
        attempts.append(1)
        await own.execute("INSERT INTO services (service_id) VALUES ('a')")
        raise ServiceAlreadyExistsError("no")

    with pytest.raises(ServiceAlreadyExistsError):
        await database.write(change_my_mind, uncounted)

    assert len(attempts) == 1
    assert await connection.fetchval("SELECT count(*) FROM services") == 0


async def test_a_database_that_became_read_only_refuses_writes_and_answers_reads(
    database: Database, connection: asyncpg.Connection
) -> None:
    repository = ServiceRepository(database)
    await repository.upsert(services("a"))
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await terminate_backends(connection)

    with pytest.raises(DatabaseUnavailableError, match="accepts no writes"):
        await repository.upsert(services("b"))

    assert (await repository.get(ServiceKey(service_id="a"))).service_id == "a"
    await connection.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await repository.upsert(services("b"))


async def test_a_refused_value_costs_no_connection(
    database: Database, connection: asyncpg.Connection
) -> None:
    first = await database.read(own_pid)

    with pytest.raises(InvalidInputError):
        await ServiceRepository(database).create(ServiceDraft(service_id="nul\0"))

    assert await database.read(own_pid) == first
    assert await backends(connection, "state LIKE 'idle in transaction%'") == []
