"""Migrations run at once, in processes or tasks, wait for each other and run each step once."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from alembic.config import Config

from server.domain.errors import DatabaseUnavailableError
from server.store import migrate
from server.store.migrations import latest_revision
from server.store.migrations.session import LOCK_KEY
from tests.support.catalog import schema_of
from tests.support.plain_sql import connected

ROOT = Path(__file__).parents[2]
MIGRATE_AND_COUNT = """
import asyncio, sys
from server.store import migrate
print(len(asyncio.run(migrate.upgrade(sys.argv[1]))))
"""


async def start_migrating(url: str) -> Process:
    """Start a process that migrates and prints how many steps it ran."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MIGRATE_AND_COUNT, url, env=environment, stdout=PIPE
    )


async def others_connected(connection: asyncpg.Connection) -> int:
    """Count the other connections to this database."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return count


async def test_processes_that_migrate_at_once_run_each_step_once(empty_database_url: str) -> None:
    steps = (await migrate.status(empty_database_url)).pending
    async with connected(empty_database_url) as holder, asyncio.timeout(60):
        await holder.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        migrating = [await start_migrating(empty_database_url) for _ in range(2)]
        while await others_connected(holder) < len(migrating):
            await asyncio.sleep(0.05)
        await holder.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
        counts = [int((await process.communicate())[0]) for process in migrating]

    assert [process.returncode for process in migrating] == [0, 0]
    assert sorted(counts) == [0, len(steps)]
    assert (await migrate.status(empty_database_url)).pending == ()


async def test_a_run_gives_up_when_another_one_holds_the_lock_for_too_long(empty_database_url: str) -> None:
    async with connected(empty_database_url) as holder:
        await holder.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        with pytest.raises(DatabaseUnavailableError, match="Another process has been migrating"):
            await migrate.upgrade(empty_database_url, patience=timedelta(seconds=0.1))

    assert (await migrate.status(empty_database_url)).current is None


async def test_an_index_is_built_without_blocking_while_another_run_waits(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = (await migrate.status(database_url)).head
    (tmp_path / "v9000_index.py").write_text(
        f'''"""An index on a large table"""
from alembic import op
revision = "9000"
down_revision = "{head}"
def upgrade():
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS public.idx_services_example")
        op.execute("CREATE INDEX CONCURRENTLY idx_services_example ON public.services (updated_at)")
'''
    )
    original = migrate._config

    def with_a_step_more() -> Config:
        config = original()
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", f"server.store:migrations/versions\n{tmp_path}")
        return config

    monkeypatch.setattr(migrate, "_config", with_a_step_more)

    async with asyncio.timeout(60):
        ran = await asyncio.gather(migrate.upgrade(database_url), migrate.upgrade(database_url))

    assert sorted(len(steps) for steps in ran) == [0, 1]
    assert any("idx_services_example" in line for line in await schema_of(database_url))


async def test_databases_of_one_process_can_be_migrated_at_once(
    empty_database_url: str, database_url: str
) -> None:
    up, down = await asyncio.gather(
        migrate.upgrade(empty_database_url), migrate.downgrade(database_url, "base")
    )

    assert up == down[::-1] != ()


async def test_a_step_that_meets_a_deadlock_with_a_writer_runs_again(database_url: str) -> None:
    await migrate.downgrade(database_url, "0010")
    async with connected(database_url) as writer, asyncio.timeout(60):
        # The migration notices first, and is the one that gives way.
        await writer.execute("SET deadlock_timeout = '1min'")
        await writer.execute("BEGIN; LOCK TABLE service_dependencies IN ROW EXCLUSIVE MODE")
        migrating = asyncio.create_task(migrate.upgrade(database_url))
        while not await writer.fetchval(
            """SELECT count(*) FROM pg_locks
            WHERE relation = 'service_dependencies'::regclass
                AND mode = 'AccessExclusiveLock' AND NOT granted"""
        ):
            await asyncio.sleep(0.01)
        await writer.execute("LOCK TABLE services IN ROW EXCLUSIVE MODE; COMMIT")
        steps = await migrating

    assert next(step.revision for step in steps) == "0011"
    assert steps[-1].revision == latest_revision()
