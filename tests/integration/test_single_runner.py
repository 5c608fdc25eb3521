"""
Work that one process does at a time.

Who runs it, who takes over, and that no other process can write meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import pytest

from server.postgres import DRIVER_ERRORS
from server.store.single_runner import DETECTION_KEY, SWEEPER_KEY, RunnerConnection, SingleRunner
from tests.support.eventually import eventually
from tests.support.postgres import DatabaseServer

SOON = timedelta(milliseconds=20)
LIMIT = timedelta(seconds=5)


class Worker:
    """Counts how often it was begun and ended, and goes on until it is ended."""

    def __init__(self, url: str, key: int = DETECTION_KEY, limit: timedelta = LIMIT) -> None:
        self.runner = SingleRunner(url, "test", key, limit, SOON)
        self.begun = self.ended = 0
        self.error: Exception | None = None
        self.connection: RunnerConnection | None = None

    async def work(self, connection: RunnerConnection) -> None:
        self.begun += 1
        self.connection = connection
        try:
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.ended += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Worker"]:
        task = asyncio.create_task(self.runner.run_forever(self.work))
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def running(worker: Worker) -> None:
    await eventually(lambda: worker.runner.is_running and worker.begun > worker.ended)


async def end_sessions(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'depgraph test'"
    )


async def test_one_of_several_works_and_another_follows_when_it_is_stopped(database_url: str) -> None:
    first, second = Worker(database_url), Worker(database_url)
    async with second.running():
        await running(second)
        async with first.running():
            await asyncio.sleep(3 * SOON.total_seconds())
            assert not first.runner.is_running
            assert first.begun == 0
    async with first.running():
        await running(first)
    assert (second.begun, second.ended) == (1, 1)
    assert (first.begun, first.ended) == (1, 1)


async def test_the_work_ends_with_the_session_that_has_the_lock_and_is_begun_anew(
    database_url: str, connection: asyncpg.Connection
) -> None:
    worker = Worker(database_url)
    async with worker.running():
        await running(worker)
        await end_sessions(connection)
        await eventually(lambda: worker.ended == 1)
        await eventually(lambda: worker.begun == 2)
        assert worker.runner.failures == 1
        assert worker.runner.last_failure


async def test_who_has_lost_the_lock_can_not_write_any_more(
    database_url: str, connection: asyncpg.Connection
) -> None:
    worker = Worker(database_url)
    async with worker.running():
        await running(worker)
        held = worker.connection
        assert held is not None
        await end_sessions(connection)
        # Wait first: a statement under way would receive the error in place of the runner.
        # This statement is not the work's own, which would end with such an error.
        await eventually(held.is_closed)
        with pytest.raises(DRIVER_ERRORS):
            await held.execute("INSERT INTO services (service_id) VALUES ('late')")
        await eventually(lambda: worker.ended == 1)
    assert await connection.fetchval("SELECT count(*) FROM services") == 0


async def test_work_that_fails_is_left_to_others_and_tried_again(database_url: str) -> None:
    worker = Worker(database_url)
    worker.error = LookupError("no such luck")
    async with worker.running():
        await eventually(lambda: worker.begun >= 2)
        assert worker.runner.last_failure == "LookupError"
        async with Worker(database_url).running() as other:
            await running(other)
            assert not worker.runner.is_running


async def test_no_statement_of_the_work_may_take_longer_than_the_limit(database_url: str) -> None:
    worker = Worker(database_url, limit=timedelta(milliseconds=200))
    async with worker.running():
        await running(worker)
        held = worker.connection
        assert held is not None
        with pytest.raises(TimeoutError):
            await held.execute("SELECT pg_sleep(30)")


async def test_different_work_has_different_locks(database_url: str) -> None:
    detection, sweeper = Worker(database_url, DETECTION_KEY), Worker(database_url, SWEEPER_KEY)
    async with detection.running(), sweeper.running():
        await running(detection)
        await running(sweeper)


async def test_databases_of_one_server_have_locks_of_their_own(
    database_url: str, postgres: DatabaseServer, migrated_template: str
) -> None:
    async with postgres.new_database(migrated_template) as other_url:
        here, there = Worker(database_url), Worker(other_url)
        async with here.running(), there.running():
            await running(here)
            await running(there)


async def test_who_waits_says_when_another_has_the_lock_and_does_not_do_the_work(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("SET application_name = 'a stranger'")
    await connection.execute("SELECT pg_advisory_lock(7203411, $1)", DETECTION_KEY)
    waiting = SingleRunner(
        database_url, "test", DETECTION_KEY, LIMIT, SOON, undone="nothing was tested", tolerance=SOON * 5
    )
    task = asyncio.create_task(waiting.run_forever(Worker(database_url).work))
    try:
        await eventually(lambda: any(waiting.problems()))
        [problem] = waiting.problems()
        assert problem.startswith("nothing was tested for ")
        assert "'a stranger'" in problem
        await connection.execute("SELECT pg_advisory_unlock_all()")
        await eventually(lambda: waiting.is_running and not list(waiting.problems()))
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_who_waits_has_no_problem_while_another_says_that_it_does_the_work(database_url: str) -> None:
    worker = Worker(database_url)
    waiting = SingleRunner(database_url, "test", DETECTION_KEY, LIMIT, SOON, tolerance=SOON)
    async with worker.running():
        await running(worker)
        assert worker.connection is not None
        note = "UPDATE depgraph_feed.duties SET done_at = now() + $1::interval WHERE duty = 'test'"
        await worker.runner.did(worker.connection)
        await worker.connection.execute(note, timedelta(hours=-1))
        task = asyncio.create_task(waiting.run_forever(worker.work))
        try:
            await eventually(lambda: any(waiting.problems()))
            # A time that has not come yet stands for work that is done all the while.
            await worker.connection.execute(note, timedelta(hours=1))
            await eventually(lambda: not any(waiting.problems()))
            assert not waiting.is_running
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
