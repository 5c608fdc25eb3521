"""Writers neither fail nor wait because of history, and whatever it misses ends its lineage."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from tests.support.eventually import PATIENCE_SECONDS
from tests.support.plain_sql import connected, insert_service
from tests.support.postgres import DatabaseServer

Connection = asyncpg.Connection
MARK = "SELECT depgraph_history.mark()"
HOLDING = "SELECT depgraph_history.holding_lineage()"

BREAKS = {
    "its log is full": (
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE disk_full; END$$",
        "CREATE TRIGGER no_room BEFORE INSERT ON depgraph_history.service_changes EXECUTE FUNCTION no_room()",
    ),
    "its log lacks a column": ("ALTER TABLE depgraph_history.service_changes DROP COLUMN team",),
    "a column of its log is another": (
        "ALTER TABLE depgraph_history.service_changes ALTER team TYPE integer USING NULL",
    ),
    "its log is gone": ("DROP TABLE depgraph_history.service_changes",),
    "its sequence is gone": ("DROP SEQUENCE depgraph_history.seq",),
    "it is switched off": ("SELECT depgraph_history.set_switch(false)",),
    "its switch is gone": ("DROP TABLE depgraph_history.switch",),
    "its switch says nothing": ("DELETE FROM depgraph_history.switch",),
    "nothing counts holes": ("DROP SEQUENCE depgraph_history.holes",),
    "a function is gone": ("DROP FUNCTION depgraph_history.services_update() CASCADE",),
    "the schema has another name": ("ALTER SCHEMA depgraph_history RENAME TO elsewhere",),
}


@pytest.fixture
async def marked(connection: Connection) -> Connection:
    """The connection to a database whose history holds, with a service ``kept``."""
    await insert_service(connection, "kept", team="'former'")
    assert await connection.fetchval(MARK) == "marked"
    return connection


async def write(connection: Connection) -> None:
    """Insert, update and delete."""
    await insert_service(connection, "gone")
    await connection.execute("UPDATE services SET team = 'written' WHERE service_id = 'kept'")
    await connection.execute("DELETE FROM services WHERE service_id = 'gone'")
    async with connection.transaction():
        await connection.execute("INSERT INTO services (service_id) VALUES ('new')")


async def assert_written(connection: Connection) -> None:
    rows = await connection.fetch("SELECT service_id, team FROM services ORDER BY service_id")
    assert [tuple(row) for row in rows] == [("kept", "written"), ("new", None)]


async def holds(connection: Connection) -> bool:
    """Whether readers would take history for whole; without its schema they read nothing."""
    try:
        return await connection.fetchval(HOLDING) is not None
    except asyncpg.PostgresError:
        return False


@pytest.mark.parametrize("breaks", BREAKS.values(), ids=BREAKS)
async def test_writers_go_on_while_history_is_broken_and_the_lineage_ends(
    marked: Connection, breaks: Sequence[str]
) -> None:
    for statement in breaks:
        await marked.execute(statement)
    await write(marked)
    await assert_written(marked)
    assert not await holds(marked)


async def test_writers_go_on_while_a_log_is_locked_and_the_lineage_ends(
    marked: Connection, database_url: str
) -> None:
    async with connected(database_url) as locking, locking.transaction(), asyncio.timeout(PATIENCE_SECONDS):
        await locking.execute("LOCK TABLE depgraph_history.service_changes")
        await write(marked)
        await assert_written(marked)
        assert not await holds(marked)


async def test_writers_do_not_wait_for_pruning_and_marking(marked: Connection, database_url: str) -> None:
    await insert_service(marked, "pruned")
    assert await marked.fetchval(MARK) == "marked"
    await marked.execute("DELETE FROM services WHERE service_id = 'pruned'")
    async with connected(database_url) as pruning, asyncio.timeout(PATIENCE_SECONDS):
        async with pruning.transaction():
            assert await pruning.fetchval("SELECT depgraph_history.prune('0 s', 100)") == 2
            await write(marked)
        async with pruning.transaction():
            assert await pruning.fetchval(MARK) == "marked"
            await marked.execute("UPDATE services SET team = team || '!'")
    assert await holds(marked)


@pytest.fixture
async def stranger(postgres: DatabaseServer, marked: Connection) -> AsyncIterator[Connection]:
    """A connection of a role that may write the tables, and knows nothing of history."""
    await marked.execute("CREATE ROLE stranger")
    try:
        await marked.execute("GRANT ALL ON services, service_dependencies, service_aliases TO stranger")
        await marked.execute("SET ROLE stranger")
        yield marked
    finally:
        await marked.execute("RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger")


async def test_a_role_without_any_right_on_history_writes_it_all_the_same(stranger: Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.execute("SELECT FROM depgraph_history.service_changes")
    await write(stranger)
    await stranger.execute("TRUNCATE services CASCADE")
    await stranger.execute("RESET ROLE")
    assert await stranger.fetchval("SELECT count(*) FROM depgraph_history.service_changes") == 7
    assert await holds(stranger)


async def test_a_role_that_may_write_the_tables_may_not_switch_mark_or_prune(stranger: Connection) -> None:
    for call in ("set_switch(false)", "mark()", "prune('0 s', 1)", "begin_lineage()", "install_triggers()"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.execute(f"SELECT depgraph_history.{call}")
