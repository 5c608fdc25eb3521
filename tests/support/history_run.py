"""A run of random writers with copies of the tables at marks, by which the past is judged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import grpc

from depgraph.v1.catalog_service_pb2 import (
    BatchUpsertServicesRequest,
    MergeServicesRequest,
    RemoveAliasRequest,
)
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.types_pb2 import Service
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.history_copies import Connection, Copy, Reading, as_of, differing, holds, take_copy
from tests.support.history_statements import HISTORY_WEIGHTS
from tests.support.random_statements import Statement
from tests.support.random_writer import RandomWriter, connect
from tests.support.scene import connected
from tests.support.world import FREE, free, populate

WRITERS = 4
EXPECTED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What a copy may fail with: TRUNCATE locks in another order, and the database may go away."""
PAUSE = 0.005
MARKS_APART = 0.05
"""At most, in seconds: shorter than most transactions last."""
LATEST = 100
"""Of so many copies one is judged while writers write."""

Judge = Callable[[Copy, Copy, Random], Awaitable[list[str]]]
"""Describes what answers about a mark, or a former and that one, have other than the copies."""

Job = Callable[["HistoryRun", asyncio.Event], Coroutine[Any, Any, None]]
"""Writes until stopped."""


@dataclass(slots=True)
class HistoryRun:
    """What happened in a run, and what was wrong."""

    url: str
    seed: int
    judges: Mapping[str, Judge] = field(default_factory=dict)
    weights: Mapping[Statement, int] = field(default_factory=lambda: HISTORY_WEIGHTS)
    jobs: Sequence[Job] = ()
    """Other writers."""
    wrong_readings: Mapping[str, Reading] = field(default_factory=dict)
    """Readings that copies are to catch."""
    counts: Counter[str] = field(default_factory=Counter)
    copies: list[Copy] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    """The first ones of each comparison."""
    caught: Counter[str] = field(default_factory=Counter)
    """How often each wrong reading said something else than a copy."""

    def figures(self) -> dict[str, object]:
        """All figures by name."""
        return {
            "seed": self.seed,
            "statements": sum(self.counts[statement.__name__] for statement in self.weights),
            "marks": len(self.copies),
            "lineages": self.lineages,
            "wrong readings caught": dict(self.caught),
            "counts": dict(sorted(self.counts.items())),
        }

    @property
    def lineages(self) -> int:
        """How many lineages had marks."""
        return len({copy.lineage for copy in self.copies})

    def dice(self, part: str) -> Random:
        """Make dice for a part of the run."""
        return Random(f"{self.seed} {part}")  # noqa: S311 - a game of dice, no secret

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Let writers write and take copies meanwhile, whatever happens to the database."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                dice = self.dice(f"writer {number} after {len(self.copies)}")
                writer = RandomWriter(self.url, dice, self.counts, PAUSE, self.weights)
                group.create_task(writer.run(stop))
            group.create_task(self._keep(stop))
            for job in self.jobs:
                group.create_task(job(self, stop))
            try:
                yield
            finally:
                stop.set()

    async def take(self) -> Copy | None:
        """Take a copy now."""
        async with connected(self.url) as connection:
            return await self._take(connection)

    async def judge_latest(self, count: int) -> None:
        """Judge the latest copies again."""
        dice = self.dice("end")
        async with connected(self.url) as connection:
            for copy in self.copies[-count:]:
                await self._judge(connection, copy, dice)

    async def _keep(self, stop: asyncio.Event) -> None:
        dice = self.dice("keeper")
        while not stop.is_set():
            with suppress(*EXPECTED):
                connection = await connect(self.url)
                try:
                    while not stop.is_set():
                        await self._take(connection)
                        if self.copies:
                            # A mark that replicas may not have caught up with yet, or any.
                            latest = dice.choice((1, LATEST))
                            await self._judge(connection, dice.choice(self.copies[-latest:]), dice)
                        await asyncio.sleep(dice.random() * MARKS_APART)
                finally:
                    connection.terminate()
            await asyncio.sleep(MARKS_APART)

    async def _take(self, connection: Connection) -> Copy | None:
        copy = await take_copy(connection)
        if copy is not None:
            self.copies.append(copy)
        return copy

    async def _judge(self, connection: Connection, copy: Copy, dice: Random) -> None:
        """Compare what the log, read by SQL, and the judges say of a mark with its copy."""
        if not await holds(connection, copy):
            self.counts["marks that were pruned or have a hole after them"] += 1
            return
        said = {"sql": differing(await as_of(connection, copy), copy.rows)}
        wrong = {
            name: await as_of(connection, copy, reading) for name, reading in self.wrong_readings.items()
        }
        place = self.copies.index(copy) + 1
        former = dice.choice([each for each in self.copies[:place] if each.lineage == copy.lineage])
        for name, judge in self.judges.items():
            said[name] = await _said(judge, former, copy, dice)
        if not await holds(connection, copy) or not await holds(connection, former):
            # A hole was counted meanwhile, or after the former one.
            return
        for how, differences in said.items():
            self.counts[f"{how}: comparisons"] += 1
            self.counts["differences"] += len(differences)
            self.differences += [f"{how}: mark {copy.at}: {line}" for line in differences[:3]]
        self.counts["rows compared"] += copy.size
        self.caught.update(name for name, rows in wrong.items() if differing(rows, copy.rows))


async def compared(run: HistoryRun, more: int) -> None:
    """Wait until writers wrote and marks were compared so many more times."""
    wanted = run.counts["sql: comparisons"] + more
    await eventually(lambda: run.counts["sql: comparisons"] >= wanted)


async def merge_by_rpc(channel: grpc.aio.Channel, run: HistoryRun, stop: asyncio.Event) -> None:
    """Merge two services, and make a new one of the name that goes."""
    catalog, dice = CatalogServiceStub(channel), run.dice("merges")
    while not stop.is_set():
        going, staying = (free(number) for number in dice.sample(range(FREE), 2))
        try:
            await catalog.MergeServices(MergeServicesRequest(from_service_id=going, into_service_id=staying))
            run.counts["merges by rpc"] += 1
            await asyncio.sleep(dice.random() * MARKS_APART)
            await catalog.RemoveAlias(RemoveAliasRequest(alias=going))
            await catalog.BatchUpsertServices(
                BatchUpsertServicesRequest(services=[Service(service_id=going)])
            )
        except grpc.aio.AioRpcError as error:
            # Another writer removed one of them, or several kept wanting the same rows.
            run.counts[error.code().name] += 1
        await asyncio.sleep(dice.random() * MARKS_APART)


async def begun(connection: Connection) -> None:
    """Wait until a lineage holds: one begins once what ran before it has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval("SELECT depgraph_history.holding_lineage()") is None:
            await connection.execute("SELECT depgraph_history.mark()")
            await asyncio.sleep(0.005)


async def _said(judge: Judge, former: Copy, copy: Copy, dice: Random) -> list[str]:
    while True:
        try:
            return await judge(former, copy, dice)
        except grpc.aio.AioRpcError as error:
            # A writer that truncates holds the tables for itself: whoever reads is to try again.
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                # Right if the lineage has ended.
                return [f"{error.code().name} {error.details()}"]


@asynccontextmanager
async def history_run(
    url: str,
    seed: int,
    judges: Mapping[str, Judge] | None = None,
    *,
    weights: Mapping[Statement, int] = HISTORY_WEIGHTS,
    jobs: Sequence[Job] = (),
    wrong_readings: Mapping[str, Reading] | None = None,
) -> AsyncIterator[HistoryRun]:
    """Fill a new database, begin a lineage, let writers write; wait for them at the end."""
    async with connected(url) as connection:
        await populate(connection)
        await begun(connection)
    run = HistoryRun(url, seed, judges or {}, weights, jobs, wrong_readings or {})
    async with run.going_on():
        yield run
