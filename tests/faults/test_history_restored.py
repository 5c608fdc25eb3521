"""What is left of history after a dump was restored, or while it was switched off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from server.domain.errors import HistoryUnavailableError
from server.domain.live_graph import FullyConsistent
from server.replica import KeptPasts
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres
from server.store.history import HistoryReader
from tests.support.dumps import dump, restore
from tests.support.following import PATIENCE, following
from tests.support.history_answers import wrong_rows
from tests.support.history_copies import BY_TIME, EXACT, Copy, Reading, as_of, differing, take_copy
from tests.support.history_run import HistoryRun, compared, history_run
from tests.support.history_statements import WITHOUT_HOLES
from tests.support.scene import connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

ROUNDS = 2
COMPARED = 3


async def quiet_copies(run: HistoryRun) -> list[Copy]:
    """Let writers write some times, and take a copy each time that they have finished."""
    copies = []
    for _ in range(ROUNDS):
        async with run.going_on():
            await compared(run, COMPARED)
        copy = await run.take()
        copies.append(copy or run.copies[-1])
    return copies


@asynccontextmanager
async def pasts_of(url: str) -> AsyncIterator[KeptPasts]:
    """Follow a database, and give its past graphs."""
    async with following(url) as replica, Database.open(url, pool_size=2) as database:
        await replica.at(FullyConsistent(), PATIENCE)
        yield KeptPasts(replica, HistoryReader(database))


async def assert_read(url: str, copies: list[Copy], reading: Reading) -> None:
    """Plain SQL and past graphs must both say what the copies hold."""
    async with connected(url) as connection, pasts_of(url) as pasts:
        for copy in copies:
            assert differing(await as_of(connection, copy, reading), copy.rows)[:3] == []
            past = await pasts.at(copy.at, PATIENCE)
            assert wrong_rows(past.graph, copy)[:3] == []
            assert past.freshness.as_of_time == copy.at
            assert past.freshness.approximate == (reading is BY_TIME)


async def assert_refused(url: str, copies: list[Copy]) -> None:
    """No time of the copies may be answered about."""
    async with Database.open(url, pool_size=2) as database:
        for copy in copies:
            with pytest.raises(HistoryUnavailableError):
                await HistoryReader(database).mark_at(copy.at)


async def marked(url: str) -> Copy:
    """Copy the present, of a lineage that is yet to begin."""
    async with connected(url) as connection:
        copy = await take_copy(connection)
        assert copy is not None
        return copy


async def test_after_a_restore_into_another_cluster_times_before_are_answered_by_time(
    database_url: str, own_postgres: EmbeddedPostgres, tmp_path: Path, seed: int
) -> None:
    async with history_run(database_url, seed, weights=WITHOUT_HOLES) as run:
        pass
    before = await quiet_copies(run)
    await restore(await dump(database_url, tmp_path / "dump"), own_postgres.url)
    there = HistoryRun(own_postgres.url, seed, weights=WITHOUT_HOLES, copies=[await marked(own_postgres.url)])
    await assert_read(own_postgres.url, before, BY_TIME)
    after = await quiet_copies(there)
    await assert_read(own_postgres.url, before, BY_TIME)
    await assert_read(own_postgres.url, after, EXACT)
    assert there.counts["differences"] == 0, "\n".join(there.differences[:10])


async def test_after_a_restore_of_the_tables_alone_times_before_are_refused(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    async with history_run(database_url, seed, weights=WITHOUT_HOLES) as run:
        await compared(run, COMPARED)
    tables = [f"--table=public.{table}" for table in ("services", "service_dependencies", "service_aliases")]
    await restore(await dump(database_url, tmp_path / "dump", *tables), database_url)
    await assert_refused(database_url, run.copies)
    async with connected(database_url) as connection:
        await connection.execute("SELECT depgraph_history.install_triggers()")
    present = await marked(database_url)
    await assert_refused(database_url, run.copies)
    await assert_read(database_url, [present], EXACT)


async def test_times_before_history_was_switched_off_are_refused(
    database_url: str, connection: asyncpg.Connection, seed: int
) -> None:
    async with history_run(database_url, seed, weights=WITHOUT_HOLES) as run:
        await compared(run, COMPARED)
        before = list(run.copies)
        await connection.execute("SELECT depgraph_history.set_switch(false)")
        await assert_refused(database_url, before)
        assert await connection.fetchval("SELECT depgraph_history.mark()") == "off"
        await connection.execute("SELECT depgraph_history.set_switch(true)")
        await assert_refused(database_url, before)
        await compared(run, COMPARED)
    await assert_refused(database_url, before)
    await assert_read(database_url, run.copies[-ROUNDS:], EXACT)
    assert run.counts["differences"] == 0, "\n".join(run.differences[:10])
