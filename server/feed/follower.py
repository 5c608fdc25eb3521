"""Keeps the graph up to date: connects, takes steps, and reconnects after any failure."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import asyncpg
import structlog

from server.config import FeedSettings
from server.domain.changes import GraphSink
from server.domain.revision import in_progress
from server.feed import statements
from server.feed.connection import FeedConnection, Session
from server.feed.health import Vitals
from server.feed.reader import IncarnationChangedError, SnapshotReader
from server.postgres import explain, reconnect_pause

log = structlog.get_logger(__name__)

# The poll interval while a reader waits for a transaction whose notification may not come.
WAITED_FOR_POLL = timedelta(milliseconds=20)
LOCKED_PAUSE = (0.05, 0.2)
# While changes may go unseen, reading everything again and again may take this share of the time.
REREAD_SHARE = 0.1

Result = TypeVar("Result")
Work: TypeAlias = Callable[[FeedConnection], Awaitable[Result]]


class Feed:
    """Follows one database for one graph. ``run`` it in a task; ``wake`` it when a reader waits."""

    def __init__(self, url: str, sink: GraphSink, settings: FeedSettings, vitals: Vitals) -> None:
        self._url = url
        self._sink = sink
        self._settings = settings
        self._vitals = vitals
        self._snapshot_tasks: deque[tuple[Work[Any], asyncio.Future[Any]]] = deque()
        self._whole = False
        self._reread_at = 0.0
        self._awake = asyncio.Event()
        self._failures = 0
        self._session: Session | None = None

    def wake(self) -> None:
        """Take the next step now instead of at the next notification or poll."""
        self._awake.set()

    def read_everything(self) -> None:
        """Read all tables whole in the next step, because memory is known to be wrong."""
        self._whole = True
        self.wake()

    async def within_step(self, work: Work[Result]) -> Result:
        """
        Run ``work`` inside the snapshot of a step begun from now on, and return its result.

        Memory equals that snapshot and does not move until the work is done. Waits as long as the
        database is away. Errors of ``work`` are raised here, and the feed goes on.
        """
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._snapshot_tasks.append((work, done))
        self.wake()
        return await done

    async def run(self) -> None:
        """
        Follow until cancelled; after any error, pause and reconnect.

        The longest pause doubles from 0.1 s to 5 s, and the actual pause is a random part of it, so
        that replicas don't return all at once. The graph does not move meanwhile.
        """
        while True:
            try:
                async with FeedConnection.open(
                    self._url, self._settings.step_timeout, self.wake
                ) as connection:
                    await self._follow(connection)
            # asyncpg raises InternalClientError, OSError, TimeoutError and two families of its own.
            except Exception as error:  # noqa: BLE001
                self._sink.connection_lost()
                self._vitals.disconnected(error)
                await self._back_off(error)

    async def _follow(self, connection: FeedConnection) -> None:
        # LISTEN came first: later commits wake the feed, earlier ones are in the first read.
        feed_id: str = (await connection.row(statements.OPEN))[0]
        self._session = await connection.take_over(self._session)
        while True:
            try:
                await self._follow_incarnation(connection, feed_id)
            except (IncarnationChangedError, asyncpg.LockNotAvailableError):
                await asyncio.sleep(random.uniform(*LOCKED_PAUSE))  # noqa: S311 - jitter, no secret
            # Another replica may hold the locks of ``open`` now.
            with suppress(asyncpg.LockNotAvailableError):
                feed_id = (await connection.row(statements.OPEN))[0]

    async def _follow_incarnation(self, connection: FeedConnection, feed_id: str) -> None:
        """Follow until tables, triggers or functions change; then ``IncarnationChangedError``."""
        faults = await self._faults(connection)
        if any(faults):
            self._vitals.saw_faults(*faults)
        changed_at = (await connection.row(statements.CHANGED_AT))["changed_at"]
        reader = SnapshotReader(
            connection, feed_id, self._sink, self._run_tasks, old_writers=in_progress(changed_at)
        )
        self._warn_of_another_incarnation(feed_id)
        while True:
            self._awake.clear()
            try:
                await self._step(reader)
            except asyncpg.LockNotAvailableError:
                # DDL or TRUNCATE is under way: the graph is stale for a moment.
                self._vitals.lock_waits += 1
                await asyncio.sleep(random.uniform(*LOCKED_PAUSE))  # noqa: S311 - jitter, no secret
                continue
            self._failures = 0
            # The step has read every change that went unseen: memory is right again.
            self._vitals.saw_faults(*faults)
            if not connection.holds_log:
                await self._sleep()

    def _warn_of_another_incarnation(self, feed_id: str) -> None:
        position = self._sink.position
        if position is not None and position.feed_id != feed_id:
            log.warning(
                "the database recovered or was restored, or its tables, triggers or functions were altered: "
                "everything is read again, and revisions from before are refused"
            )

    async def _step(self, reader: SnapshotReader) -> None:
        began = time.monotonic()
        whole, self._whole = self._whole, False
        try:
            changed = await reader.advance(whole=whole or self._rereads(began))
        except BaseException:
            self._whole |= whole
            raise
        self._vitals.stepped(changed)
        if self._rereads(began):
            now = time.monotonic()
            self._reread_at = now + max(
                self._settings.reread_interval.total_seconds(), (now - began) / REREAD_SHARE
            )

    def _rereads(self, now: float) -> bool:
        """Whether changes may go unseen, and everything was read too long ago."""
        return not self._vitals.trusted and now >= self._reread_at

    async def _run_tasks(self, connection: FeedConnection) -> None:
        while self._snapshot_tasks:
            work, done = self._snapshot_tasks.popleft()
            if not done.done():
                await _settle(done, work(connection))

    async def _sleep(self) -> None:
        pause = WAITED_FOR_POLL if self._sink.is_waited_for else self._settings.poll_interval
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._awake.wait()

    async def _faults(self, connection: FeedConnection) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return missing triggers and faults of the tables, both constant within an incarnation."""
        triggers = await connection.rows(statements.MISSING_TRIGGERS)
        tables = await connection.rows(statements.TABLE_FAULTS)
        return (
            tuple(f"{row['table_name']}.{row['trigger_name']}" for row in triggers),
            tuple(row["fault"] for row in tables),
        )

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        pause = reconnect_pause(self._failures)
        log.warning(
            "the feed lost the database",
            error=f"{type(error).__name__}: {error}",
            cause=str(explain(error)),
            failures=self._failures,
            retry_in_seconds=round(pause, 3),
        )
        await asyncio.sleep(pause)


async def _settle(done: asyncio.Future[Result], work: Awaitable[Result]) -> None:
    """Do work for a caller, who gets its result or error and may be cancelled meanwhile."""
    try:
        result = await work
    except Exception as error:  # noqa: BLE001 - raised in the caller
        if not done.done():
            done.set_exception(error)
    except BaseException:
        done.cancel()
        raise
    else:
        if not done.done():
            done.set_result(result)
