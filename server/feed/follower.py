"""Keeps the graph level with the database: connect, follow, and after any failure connect again."""

import asyncio
import random
from collections import deque
from datetime import timedelta
from typing import Any

import asyncpg
import structlog

from server.config import FeedSettings
from server.domain.changes import GraphSink
from server.domain.records import RecordFormat
from server.feed import statements
from server.feed.connection import FeedConnection, Session
from server.feed.errands import Errand, Result, Work
from server.feed.reader import Inspection, SnapshotReader
from server.feed.triggers import TriggerGuard
from server.feed.vitals import Vitals
from server.postgres import explain

log = structlog.get_logger(__name__)

FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(seconds=5)
# How often to look while a reader waits for a transaction that is about to commit, should its notification not come.
WAITED_FOR_POLL = timedelta(milliseconds=20)
LOCKED_PAUSE = (0.05, 0.2)


class Feed:
    """
    The follower of one database for one graph. ``run`` it in a task; ``wake`` it when somebody can't wait.

    ``inspect`` is called inside the snapshot of every step; what it raises counts as a lost connection. ``vitals`` are kept up to date.
    """

    def __init__(
        self,
        url: str,
        sink: GraphSink,
        settings: FeedSettings,
        records: RecordFormat,
        *,
        inspect: Inspection | None = None,
        vitals: Vitals | None = None,
    ) -> None:
        self._url = url
        self._sink = sink
        self._settings = settings
        self._records = records
        self._inspect = inspect
        self._vitals = vitals if vitals is not None else Vitals(settings)
        self._triggers = TriggerGuard(settings.trigger_interval)
        self._errands: deque[Errand[Any]] = deque()
        self._whole = False
        self._awake = asyncio.Event()
        self._failures = 0
        self._session: Session | None = None

    def wake(self) -> None:
        """Take the next step now instead of at the next notification or poll."""
        self._awake.set()

    def read_everything(self) -> None:
        """Let the next step read both tables as a whole: memory is known to be wrong."""
        self._whole = True
        self.wake()

    async def within_step(self, work: Work[Result]) -> Result:
        """
        Run ``work`` inside the snapshot of a step begun from now on; memory stands at that snapshot, and stands still, until it is done.

        Waits for as long as the database is away. What ``work`` raises is raised here, and the feed goes on.
        """
        errand = Errand(work)
        self._errands.append(errand)
        self.wake()
        return await errand.result()

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
                self._vitals.disconnected(error)
                await self._back_off(error)

    async def _follow(self, connection: FeedConnection) -> None:
        # LISTEN came first: what commits from now on wakes us, what committed before is in the first read.
        feed_id = (await connection.row(statements.OPEN))[0]
        self._session = await connection.take_over(self._session)
        await self._look_at_triggers(connection)
        reader = SnapshotReader(connection, feed_id, self._sink, self._records, self._within_every_step)
        while True:
            self._awake.clear()
            if self._triggers.is_due():
                await self._look_at_triggers(connection)
            try:
                await self._step(reader)
            except asyncpg.LockNotAvailableError:
                # DDL or TRUNCATE under way: we are stale for a moment, and alive.
                self._vitals.lock_waits += 1
                await asyncio.sleep(random.uniform(*LOCKED_PAUSE))  # noqa: S311 - jitter, no secret
                continue
            self._failures = 0
            await self._sleep()

    async def _step(self, reader: SnapshotReader) -> None:
        whole, self._whole = self._whole, False
        try:
            changed = await reader.advance(whole=whole)
        except BaseException:
            self._whole |= whole
            raise
        self._vitals.stepped(changed)

    async def _within_every_step(self, connection: FeedConnection) -> None:
        if self._inspect is not None:
            await self._inspect(connection)
        while self._errands:
            await self._errands.popleft().run(connection)

    async def _sleep(self) -> None:
        pause = WAITED_FOR_POLL if self._sink.is_waited_for else self._settings.poll_interval
        try:
            async with asyncio.timeout(pause.total_seconds()):
                await self._awake.wait()
        except TimeoutError:
            return

    async def _look_at_triggers(self, connection: FeedConnection) -> None:
        if await self._triggers.look(connection):
            self._whole = True
        self._vitals.saw_triggers(self._triggers.missing)

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(self._failures, 10))
        pause = random.uniform(0, longest.total_seconds())  # noqa: S311 - jitter, no secret
        log.warning(
            "the feed lost the database",
            error=f"{type(error).__name__}: {error}",
            cause=str(explain(error)),
            failures=self._failures,
            retry_in_seconds=round(pause, 3),
        )
        await asyncio.sleep(pause)
