"""Lineages: what ends one, what does not, and that nothing which history lacks goes unnoticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from server.store import migrate
from tests.support.plain_sql import connected, insert_service

Connection = asyncpg.Connection
MARK = "SELECT depgraph_history.mark()"
HOLDING = "SELECT depgraph_history.holding_lineage()"
LOG = "depgraph_history.service_changes"
WRITE = "UPDATE services SET criticality = 'high'"
FULL = f"""
CREATE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON {LOG} FOR EACH ROW EXECUTE FUNCTION public.no_room()
"""
ALTERATIONS = (
    "ALTER TABLE services ALTER COLUMN team TYPE varchar(300)",
    "ALTER TABLE services ENABLE TRIGGER depgraph_history_update; SELECT depgraph_history.install_triggers()",
    "DROP TRIGGER depgraph_history_insert ON service_aliases; SELECT depgraph_history.install_triggers()",
    "ALTER SEQUENCE depgraph_history.seq RESTART",
    "ALTER FUNCTION depgraph_history.services_update() COST 200",
)
HARMLESS = (
    "ALTER TABLE services ADD COLUMN owner text DEFAULT 'nobody'",
    "ALTER TABLE services ALTER COLUMN owner TYPE varchar(9); ALTER TABLE services DROP COLUMN owner",
    "CREATE INDEX ON services (team); ANALYZE services",
    "ALTER TABLE services DISABLE TRIGGER set_updated_at",
    "SELECT depgraph_history.set_switch(true)",
    "ALTER TABLE services ADD CHECK (team <> 'x'); GRANT SELECT ON services TO PUBLIC",
)


@pytest.fixture
async def marked(connection: Connection) -> Connection:
    """A connection to a database with a service, whose history has a mark."""
    await insert_service(connection, "a")
    assert await connection.fetchval(MARK) == "marked"
    return connection


async def causes(connection: Connection) -> list[str]:
    return [
        row["cause"]
        for row in await connection.fetch("SELECT cause FROM depgraph_history.lineages ORDER BY id")
    ]


async def test_whatever_alters_what_history_rests_on_ends_the_lineage(marked: Connection) -> None:
    for number, alteration in enumerate(ALTERATIONS):
        await marked.execute(alteration)
        assert await marked.fetchval(HOLDING) is None, alteration
        assert await marked.fetchval(MARK) == "marked", alteration
        assert await causes(marked) == ["begun", *["altered"] * (number + 1)]


async def test_what_history_does_not_rest_on_may_change(marked: Connection) -> None:
    for statement in HARMLESS:
        await marked.execute(statement)
        assert await marked.fetchval(HOLDING) == 1, statement


async def test_a_column_that_a_migration_adds_is_in_the_history_from_then_on(marked: Connection) -> None:
    async with marked.transaction():
        await marked.execute("ALTER TABLE services ADD COLUMN tier varchar(20) DEFAULT 'gold'")
        await marked.execute("SELECT depgraph_history.add_column('services', 'tier')")
    assert await marked.fetchval(HOLDING) == 1
    assert await marked.fetch("SELECT FROM depgraph_history.missing_triggers()") == []
    await marked.execute("UPDATE services SET tier = 'tin'")
    await marked.execute("UPDATE services SET tier = 'lead'")

    entries = await marked.fetch(f"SELECT tier FROM {LOG} WHERE existed ORDER BY seq")
    assert [entry["tier"] for entry in entries] == ["gold", "tin"]
    assert await marked.fetchval(HOLDING) == 1


async def test_an_alteration_at_the_same_time_as_a_column_is_added_ends_the_lineage(
    marked: Connection,
) -> None:
    await marked.execute("ALTER TABLE services ALTER COLUMN team TYPE varchar(300)")
    async with marked.transaction():
        await marked.execute("ALTER TABLE services ADD COLUMN tier text")
        await marked.execute("SELECT depgraph_history.add_column('services', 'tier')")
    assert await marked.fetchval(HOLDING) is None


async def test_history_that_was_off_begins_anew(marked: Connection) -> None:
    await marked.execute("SELECT depgraph_history.set_switch(false)")
    assert await marked.fetchval(HOLDING) is None
    assert await marked.fetchval(MARK) == "off"
    await marked.execute("SELECT depgraph_history.set_switch(true)")
    assert await marked.fetchval(HOLDING) is None
    assert await marked.fetchval(MARK) == "marked"
    assert await causes(marked) == ["begun", "switched"]


async def test_a_transaction_that_takes_history_for_off_after_it_is_on_leaves_a_hole(
    marked: Connection, database_url: str
) -> None:
    await marked.execute("SELECT depgraph_history.set_switch(false)")
    async with connected(database_url) as other, other.transaction(isolation="repeatable_read"):
        await other.fetch("SELECT FROM services")
        await marked.execute("SELECT depgraph_history.set_switch(true)")
        assert await marked.fetchval(MARK) == "marked"
        assert await marked.fetchval(HOLDING) == 2
        await other.execute(WRITE)
    assert await marked.fetchval(HOLDING) is None
    assert await marked.fetchval(MARK) == "marked"
    assert await causes(marked) == ["begun", "switched", "holes"]


async def test_a_hole_of_a_write_that_is_not_committed_is_seen_at_once(
    marked: Connection, database_url: str
) -> None:
    await marked.execute(FULL)
    async with connected(database_url) as other:
        writing = other.transaction()
        await writing.start()
        await other.execute(WRITE)
        assert await marked.fetchval(HOLDING) is None
        assert await marked.fetchval(MARK) == "waiting"
        await writing.commit()
    assert await marked.fetchval(MARK) == "marked"
    assert await causes(marked) == ["begun", "holes"]


@asynccontextmanager
async def holding_the_log(url: str) -> AsyncIterator[None]:
    """Have the log for oneself, as VACUUM FULL has."""
    async with connected(url) as other, other.transaction():
        await other.execute(f"LOCK TABLE {LOG} IN ACCESS EXCLUSIVE MODE")
        yield


async def test_a_writer_that_is_cancelled_while_it_waits_for_the_log_is_cancelled(
    marked: Connection, database_url: str
) -> None:
    async with holding_the_log(database_url):
        await marked.execute("SET statement_timeout = '100ms'")
        with pytest.raises(asyncpg.QueryCanceledError):
            await marked.execute(WRITE)
    assert await marked.fetchval("SELECT criticality FROM services") == "medium"
    assert await marked.fetchval(HOLDING) == 1


async def test_replicated_writes_are_noted_as_others_are(marked: Connection) -> None:
    await marked.execute("SET session_replication_role = 'replica'")
    await marked.execute(WRITE)
    assert await marked.fetchval(f"SELECT count(*) FROM {LOG} WHERE existed") == 1


async def test_marks_ascend_although_the_clock_goes_back(marked: Connection) -> None:
    await marked.execute("UPDATE depgraph_history.marks SET at = '2100-01-01 00:00:00+00'")
    await marked.execute(WRITE)
    assert await marked.fetchval(MARK) == "marked"
    marks = await marked.fetchval("SELECT array_agg(at::text ORDER BY at) FROM depgraph_history.marks")
    assert marks == ["2100-01-01 00:00:00+00", "2100-01-01 00:00:00.000001+00"]


async def test_who_has_written_in_the_transaction_may_not_mark(marked: Connection) -> None:
    async with marked.transaction():
        await marked.execute(WRITE)
        with pytest.raises(asyncpg.ActiveSQLTransactionError):
            async with marked.transaction():
                await marked.fetchval(MARK)


async def test_history_is_migrated_beside_a_reader_that_stays_and_a_writer_that_goes_on(
    database_url: str,
) -> None:
    await migrate.downgrade(database_url, "0013")
    async with connected(database_url) as reader, connected(database_url) as writer:
        await insert_service(writer, "a")
        async with reader.transaction(isolation="repeatable_read"):
            assert await reader.fetchval("SELECT count(*) FROM services") == 1
            migrated = asyncio.Event()
            writing = asyncio.create_task(write_until(writer, migrated))
            assert [step.revision for step in await migrate.upgrade(database_url)][:1] == ["0014"]
            migrated.set()
            assert await writing > 0
            assert await reader.fetchval("SELECT count(*) FROM services") == 1
        assert await writer.fetchval(MARK) == "marked"
        await writer.execute("UPDATE services SET team = 'after'")
        assert await writer.fetchval(f"SELECT count(*) FROM {LOG} WHERE team IS NOT NULL") > 0


async def write_until(connection: Connection, done: asyncio.Event) -> int:
    """Update again and again; returns how often."""
    count = 0
    while not done.is_set():
        count += 1
        await connection.execute("UPDATE services SET team = $1", str(count))
    return count
