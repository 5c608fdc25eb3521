"""A replica that follows a database through a proxy, under writes, for faults to be injected."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any

import asyncpg

from server.config import FeedSettings
from server.domain.errors import ReplicaBehindError, RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh, FullyConsistent
from server.domain.revision import Revision
from server.feed.connection import FeedConnection
from server.replica import Replica
from tests.support.chaos import ChaosProxy
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.following import PATIENCE, following, memory, tables
from tests.support.random_writer import LOST, RandomWriter
from tests.support.witness import Witness, wrong_rows
from tests.support.world import populate, torn_pairs

Record = Callable[[dict[str, Any]], None]
QUICK = FeedSettings(poll_interval=timedelta(milliseconds=200), step_timeout=timedelta(seconds=1))
# A back-off has grown to this after three failures or so.
A_MOMENT = timedelta(seconds=2)
WRITERS = 2


class Scene:
    """``url`` leads straight to the database, the replica's feed goes through ``proxy``."""

    def __init__(self, url: str, proxy: ChaosProxy, record: Record) -> None:
        self.url = url
        self.proxy = proxy
        self.witness = Witness()
        self.in_next_step: Callable[[FeedConnection], Awaitable[None]] = _nothing
        self._replica: Replica | None = None
        self._record = record
        self._stop_writing = asyncio.Event()
        self._writers: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self.torn = 0

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, seed: int, record: Record, settings: FeedSettings = QUICK
    ) -> AsyncIterator["Scene"]:
        """Fill a new database, warm the replica, let writers and a watcher begin."""
        async with connected(url) as connection:
            await populate(connection)
        async with ChaosProxy(url).running() as proxy:
            scene = cls(url, proxy, record)
            async with following(proxy.url, settings, scene._observe) as replica:
                scene._begin(replica, seed)
                try:
                    yield scene
                finally:
                    await scene._end()

    @property
    def replica(self) -> Replica:
        """The replica under test."""
        assert self._replica is not None
        return self._replica

    @property
    def feed_id(self) -> str:
        """Which run of which database memory comes from."""
        assert self.replica.position is not None
        return self.replica.position.feed_id

    async def revision(self) -> Revision:
        """Ask the database itself for a revision of everything committed so far."""
        async with connected(self.url) as connection:
            return Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))

    async def goes_stale(self, lag: timedelta = A_MOMENT) -> None:
        """
        Wait until the replica reports such a lag; it answers as before.

        One step may have been on its way when the fault came.
        """
        on_its_way = self.replica.position
        await eventually(
            lambda: self.replica.position is not on_its_way or self.replica.freshness().lag > lag
        )
        before = self.replica.position
        await eventually(lambda: self.replica.freshness().lag > lag)
        assert self.replica.position is before, "it was level meanwhile, so the fault had no effect"

    async def quiet(self) -> None:
        """Let the writers finish."""
        self._stop_writing.set()
        await asyncio.gather(*self._writers)

    async def recovers(self, fault: str) -> None:
        """Wait until memory has caught up again, check everything, and record how long it took."""
        await self.ends_well(fault, await self.caught_up())

    async def ends_well(self, fault: str, seconds: float) -> None:
        """No row may be wrong in the end, and none may have been at any time."""
        await self.quiet()
        await self.replica.at(FullyConsistent(), PATIENCE)
        await self.witness.done()
        async with connected(self.url) as connection:
            wrong = wrong_rows(memory(self.replica), await tables(connection))
        self._record(
            {
                "fault": fault,
                "seconds to recover": round(seconds, 3),
                "wrong rows": wrong,
                "largest lag seen": round(self.witness.largest_lag.total_seconds(), 3),
                "steps compared": self.witness.comparisons,
                "warms": self.replica.status().warm_count,
            }
        )
        assert wrong == 0
        assert self.witness.mismatches == 0, self.witness.first_difference
        assert self.torn == 0

    async def caught_up(self) -> float:
        """Wait until memory holds what is committed by now; returns the seconds from now on."""
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await self.replica.at(AtLeastAsFresh(await self.revision()), PATIENCE)
                except (*LOST, ReplicaBehindError, RevisionUnknownError):
                    await asyncio.sleep(0.01)
                else:
                    return time.monotonic() - began

    def _begin(self, replica: Replica, seed: int) -> None:
        self._replica = replica
        for number in range(WRITERS):
            dice = Random(f"{seed} {number}")  # noqa: S311 - a game of dice, no secret
            writer = RandomWriter(self.url, dice, Counter(), pause=0.05)
            self._writers.append(asyncio.create_task(writer.run(self._stop_writing)))
        self._watching = asyncio.create_task(self._watch())

    async def _observe(self, replica: Replica, connection: FeedConnection) -> None:
        await self.witness(replica, connection)
        act, self.in_next_step = self.in_next_step, _nothing
        await act(connection)

    async def _watch(self) -> None:
        while True:
            self.witness.look(self.replica)
            self.torn += torn_pairs(self.replica)
            await asyncio.sleep(0.01)

    async def _end(self) -> None:
        self._stop_writing.set()
        assert self._watching is not None
        self._watching.cancel()
        for ended in await asyncio.gather(*self._writers, self._watching, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        assert self.witness.looks > 0


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for as long as the context lasts; the server may be gone at its end."""
    connection = await asyncpg.connect(url, timeout=5)
    try:
        yield connection
    finally:
        connection.terminate()


async def _nothing(_connection: FeedConnection) -> None:
    """Do nothing in a step."""
