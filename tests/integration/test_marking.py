"""One process marks the history, prunes it and switches it; another takes over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
from structlog.testing import capture_logs

from server.config import HistorySettings
from server.store.marks import Marker
from tests.support.eventually import eventually
from tests.support.plain_sql import insert_service

SOON = timedelta(milliseconds=20)
MARKS = "SELECT count(*) FROM depgraph_history.marks"


@asynccontextmanager
async def marking(url: str, keep: timedelta = timedelta(days=1)) -> AsyncIterator[Marker]:
    marker = Marker(url, HistorySettings(keep=keep, mark_interval=SOON))
    task = asyncio.create_task(marker.run())
    try:
        yield marker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_of_two_processes_marks_what_changes_and_the_other_takes_over(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with marking(database_url) as other:
        async with marking(database_url) as first:
            await eventually(lambda: first.marks + other.marks == 1)
            await insert_service(connection, "a")
            await eventually(lambda: first.marks + other.marks == 2)
            assert [first.is_running, other.is_running].count(True) == 1
        await eventually(lambda: other.is_running)
        before = other.marks
        await insert_service(connection, "b")
        await eventually(lambda: other.marks == before + 1)
        assert await connection.fetchval(MARKS) == 3
        assert not [*other.problems()]


async def test_history_that_is_not_kept_is_switched_off_and_emptied(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await insert_service(connection, "a")
    await connection.execute("SELECT depgraph_history.mark()")
    async with marking(database_url, timedelta(0)) as marker:
        await eventually(lambda: marker.pruned == 1)
        assert await connection.fetchval(MARKS) == 0
        await insert_service(connection, "b")
        assert await connection.fetchval("SELECT count(*) FROM depgraph_history.service_changes") == 0
    async with marking(database_url) as marker:
        await eventually(lambda: marker.marks == 1)
    causes = "SELECT cause FROM depgraph_history.lineages ORDER BY id"
    assert [row["cause"] for row in await connection.fetch(causes)][-1] in {"switched", "holes"}


async def test_missing_triggers_are_a_problem_until_they_are_made(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("DROP TRIGGER depgraph_history_update ON services")
    async with marking(database_url) as marker:
        await eventually(lambda: any("triggers are missing" in problem for problem in marker.problems()))
        await connection.execute("SELECT depgraph_history.install_triggers()")
        await eventually(lambda: not [*marker.problems()])
        await eventually(lambda: marker.marks == 1)


async def test_a_hole_is_logged_once(database_url: str, connection: asyncpg.Connection) -> None:
    with capture_logs() as logs:
        async with marking(database_url) as marker:
            await eventually(lambda: marker.marks == 1)
            await connection.execute("SELECT nextval('depgraph_history.holes')")
            await eventually(lambda: marker.marks == 2)
            await insert_service(connection, "a")
            await eventually(lambda: marker.marks == 3)
    warnings = [each["event"] for each in logs if each["log_level"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith("a change is not in the history")
