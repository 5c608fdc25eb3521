"""
History is right: as of every mark, rows are what a full copy taken at the mark holds.

Random writers write meanwhile, and the database crashes, vacuums and prunes. ``--soak-seconds 600``
for a long run with figures; ``--seed`` to roll the same dice again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

import asyncpg
import pytest

from server.config import Settings
from server.store.embedded import EmbeddedPostgres
from tests.support.channels import channel_to_new_server
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.history_answers import PastAnswers
from tests.support.history_copies import WRONG_READINGS, Copy
from tests.support.history_diffs import wrong_diff
from tests.support.history_run import HistoryRun, Job, Judge, compared, history_run, merge_by_rpc
from tests.support.history_statements import WITHOUT_HOLES
from tests.support.random_writer import connect
from tests.support.scene import Record, connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

SHORT_SECONDS = 1.0
ENOUGH = 10
"""Marks that a short run compares at least."""
CAUGHT = WRONG_READINGS.keys() - {"the first by time"}
"""The wrong readings that a run catches; the other one takes a clock that was set back."""
JUDGED_AGAIN = 10
"""Of the latest marks, once nothing is written any more."""
KEEP = timedelta(seconds=1)
LOCK_TIMEOUT_SECONDS = 0.3
"""So long do writers wait for a log that another session holds."""
MAINTENANCE = (
    "CHECKPOINT",
    "VACUUM services, service_dependencies, depgraph_history.dependency_changes",
    "VACUUM FULL services, service_dependencies, service_aliases",
    "CLUSTER service_dependencies USING service_dependencies_pkey",
    "VACUUM FULL depgraph_history.dependency_changes, depgraph_history.marks",
    "ALTER TABLE services ADD COLUMN added integer DEFAULT 7",
    "ALTER TABLE services DROP COLUMN added",
    "REINDEX TABLE depgraph_history.service_changes",
    "ANALYZE",
)


@asynccontextmanager
async def answers_of_a_server(url: str) -> AsyncIterator[tuple[Mapping[str, Judge], Job]]:
    """Run a server, and give what judges its answers about the past, and who merges services."""
    async with channel_to_new_server(Settings(listen="127.0.0.1:0", database_url=url)) as channel:

        async def graph(_: Copy, copy: Copy, dice: Random) -> list[str]:
            return await PastAnswers(channel, copy).wrong(dice)

        async def diff(earlier: Copy, later: Copy, dice: Random) -> list[str]:
            return await wrong_diff(channel, earlier, later, dice)

        async def merges(run: HistoryRun, stop: asyncio.Event) -> None:
            await merge_by_rpc(channel, run, stop)

        yield {"graph": graph, "diff": diff}, merges


def assert_right(run: HistoryRun) -> None:
    """Nothing may differ, and a lineage may end by a hole only."""
    assert run.counts["differences"] == 0, "\n".join(run.differences[:10])
    assert run.counts["sql: comparisons"] > ENOUGH
    assert run.lineages <= 1 + run.counts["holes"], run.figures()


@pytest.mark.timeout(0)  # as long as the soak
async def test_rows_as_of_every_mark_are_those_of_its_copy_under_random_writers(
    database_url: str, seed: int, soak_seconds: float | None, effort: int, record: Record
) -> None:
    async with answers_of_a_server(database_url) as (judges, merges):
        async with history_run(
            database_url, seed, judges, jobs=[merges], wrong_readings=WRONG_READINGS
        ) as run:
            await asyncio.sleep(soak_seconds or SHORT_SECONDS * effort)
            await eventually(lambda: run.counts["sql: comparisons"] > ENOUGH and run.caught.keys() == CAUGHT)
        await run.judge_latest(JUDGED_AGAIN)
    record({"history": run.figures()})
    assert_right(run)
    assert run.caught.keys() == CAUGHT


@pytest.mark.timeout(0)  # as long as the soak
async def test_crashes_restarts_maintenance_and_pruning_under_writers_leave_history_whole(
    own_postgres: EmbeddedPostgres, seed: int, soak_seconds: float | None, record: Record
) -> None:
    until = asyncio.get_running_loop().time() + (soak_seconds or 0)
    async with history_run(own_postgres.url, seed, weights=WITHOUT_HOLES) as run:
        while True:
            for statement in MAINTENANCE:
                await maintain(own_postgres.url, statement, run.counts)
                await compared(run, 1)
            # On a quick machine, nothing is old enough yet.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (pruned := await prune(own_postgres.url)):
                    await compared(run, 1)
            run.counts["entries pruned"] += pruned
            await run.judge_latest(JUDGED_AGAIN)
            await own_postgres.crash()
            await own_postgres.start()
            run.counts["crashes"] += 1
            await compared(run, ENOUGH // 2)
            await own_postgres.stop()
            await own_postgres.start()
            await compared(run, ENOUGH // 2)
            if asyncio.get_running_loop().time() >= until:
                break
    await run.judge_latest(JUDGED_AGAIN)
    record({"history, database in trouble": run.figures()})
    assert_right(run)
    assert run.counts["entries pruned"] > 0


async def maintain(url: str, statement: str, counts: Counter[str]) -> None:
    """Run a statement that wants tables for itself, again when it lost a deadlock."""
    connection = await connect(url)
    clock = asyncio.get_running_loop().time
    try:
        while True:
            began = clock()
            try:
                await connection.execute(statement)
            except asyncpg.DeadlockDetectedError:
                counts["maintenance that lost a deadlock"] += 1
            else:
                if "FULL depgraph_history" in statement and clock() - began > LOCK_TIMEOUT_SECONDS:
                    # Writers may have gone past the log.
                    counts["holes"] += 1
                return
    finally:
        connection.terminate()


async def prune(url: str) -> int:
    """Prune what no time needs that lies less than ``KEEP`` back."""
    async with connected(url) as connection:
        return int(await connection.fetchval("SELECT depgraph_history.prune($1, 10000)", KEEP))
