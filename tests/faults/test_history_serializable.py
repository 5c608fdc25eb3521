"""A transaction that SERIALIZABLE has doomed leaves no hole: it will not commit."""

import asyncio

import asyncpg
import pytest

from tests.support.eventually import PATIENCE_SECONDS
from tests.support.history_copies import take_copy
from tests.support.scene import connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

# It fires after the triggers of the feed and before those of history, in the order of names.
_WAIT = """
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.waits', true) = 'yes' THEN
        PERFORM pg_advisory_lock_shared(1);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER depgraph_g_waits AFTER UPDATE ON services FOR EACH STATEMENT EXECUTE FUNCTION wait();
"""
_WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted)"


async def test_a_transaction_doomed_between_its_write_and_the_history_trigger_leaves_no_hole(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute(_WAIT)
    await connection.execute("INSERT INTO services (service_id, team) VALUES ('one', '0'), ('other', '0')")
    before = await take_copy(connection)
    assert before is not None
    await connection.execute("SELECT pg_advisory_lock(1)")
    async with connected(database_url) as doomed, connected(database_url) as winner:
        await doomed.execute("SET test.waits = 'yes'; BEGIN ISOLATION LEVEL SERIALIZABLE")
        await doomed.fetch("SELECT team FROM services WHERE service_id = 'other'")
        writing = asyncio.create_task(
            doomed.execute("UPDATE services SET team = '1' WHERE service_id = 'one'; COMMIT")
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await winner.fetchval(_WAITING):
                await asyncio.sleep(0.005)
        async with winner.transaction(isolation="serializable"):
            await winner.fetch("SELECT team FROM services WHERE service_id = 'one'")
            await winner.execute("UPDATE services SET team = '2' WHERE service_id = 'other'")
        await connection.execute("SELECT pg_advisory_unlock(1)")
        with pytest.raises(asyncpg.SerializationError):
            await writing
    assert await connection.fetchval("SELECT depgraph_history.holding_lineage()") == before.lineage
