"""The migration that begins history, beside those who read and write."""

import asyncio

from server.store import migrate
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.plain_sql import connected, insert_service

WAITING = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE mode = 'ShareRowExclusiveLock' AND NOT granted AND relation = 'public.services'::regclass
)
"""


async def test_it_waits_for_a_long_writer_and_others_write_meanwhile(database_url: str) -> None:
    await migrate.downgrade(database_url, "0013")
    async with (
        connected(database_url) as reader,
        connected(database_url) as writer,
        connected(database_url) as others,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert await reader.fetchval("SELECT count(*) FROM services") == 0
        await writer.execute("BEGIN")
        await insert_service(writer, "long")
        migrating = asyncio.create_task(migrate.upgrade(database_url))
        for number in range(3):
            while not await others.fetchval(WAITING):
                await asyncio.sleep(0.01)
            # Behind a migration that stood in line for the writer, this would wait for it, too.
            await insert_service(others, f"meanwhile{number}")
        assert not migrating.done()
        await writer.execute("COMMIT")
        # The reader goes on: nothing waits for it.
        assert [step.revision for step in await migrating] == ["0014"]
        assert await reader.fetchval("SELECT count(*) FROM services") == 0
        await reader.execute("COMMIT")
        assert await others.fetchval("SELECT depgraph_history.mark()") == "marked"
        await insert_service(others, "after")
        assert await others.fetchval("SELECT count(*) FROM depgraph_history.service_changes") == 1
