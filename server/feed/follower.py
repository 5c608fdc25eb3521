"""Keeps the graph level with the database: connect, follow, and after any failure connect again."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import structlog

from server.config import FeedSettings
from server.domain.changes import GraphSink
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import Inspection, SnapshotReader

log = structlog.get_logger(__name__)

FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=5)
# How often to look while a reader waits for a transaction that is about to commit, should its notification not come.
WAITED_FOR_POLL = timedelta(milliseconds=20)
LOCKED_PAUSE = (0.05, 0.2)


class Feed:
    """
    The follower of one database for one graph. ``run`` it in a task; ``wake`` it when somebody can't wait.

    ``inspect`` is called inside the snapshot of every step; what it raises counts as a lost connection.
    """

    def __init__(
        self, url: str, sink: GraphSink, settings: FeedSettings, inspect: Inspection | None = None
    ) -> None:
        self._url = url
        self._sink = sink
        self._settings = settings
        self._inspect = inspect
        self._awake = asyncio.Event()
        self._failures = 0

    def wake(self) -> None:
        """Take the next step now instead of at the next notification or poll."""
        self._awake.set()

    async def run(self) -> None:
        """
        Follow until cancelled.

        Any error means: connect again, after a pause that doubles from 0.1 s to 5 s, of which a random part is waited (full
        jitter), so that many replicas don't come back in step. The graph stays as it is meanwhile.
        """
        while True:
            try:
                async with FeedConnection.open(
                    self._url, self._settings.step_timeout, self.wake
                ) as connection:
                    await self._follow(connection)
            # No list of types: asyncpg raises InternalClientError, OSError, TimeoutError and its own two families here.
            except Exception as error:  # noqa: BLE001
                self._sink.connection_lost()
                await self._back_off(error)

    async def _follow(self, connection: FeedConnection) -> None:
        # LISTEN came first: what commits from now on wakes us, what committed before is in the first read.
        feed_id = (await connection.row(statements.OPEN))[0]
        await self._look_at_triggers(connection)
        reader = SnapshotReader(connection, feed_id, self._sink, self._inspect)
        while True:
            self._awake.clear()
            try:
                await reader.advance()
            except asyncpg.LockNotAvailableError:
                # DDL or TRUNCATE under way: we are stale for a moment, and alive.
                await asyncio.sleep(random.uniform(*LOCKED_PAUSE))  # noqa: S311 - jitter, no secret
                continue
            self._failures = 0
            await self._sleep()

    async def _sleep(self) -> None:
        pause = WAITED_FOR_POLL if self._sink.is_waited_for else self._settings.poll_interval
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _look_at_triggers(self, connection: FeedConnection) -> None:
        missing = await connection.rows(statements.MISSING_TRIGGERS)
        if missing:
            log.error(
                "feed triggers are missing or disabled: changes to these tables may go unseen until the next restart",
                triggers=[f"{row['table_name']}.{row['trigger_name']}" for row in missing],
            )

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(self._failures, 10))
        pause = random.uniform(0, longest.total_seconds())  # noqa: S311 - jitter, no secret
        log.warning(
            "the feed lost the database",
            error=f"{type(error).__name__}: {error}",
            failures=self._failures,
            retry_in_seconds=round(pause, 3),
        )
        await asyncio.sleep(pause)
