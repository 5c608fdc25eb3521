"""A run of random writers, token readers and pruning against a replica that each step compares."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import asyncpg
import grpc

from server.app import Application
from server.config import FeedSettings, Settings
from server.domain.live_graph import FullyConsistent
from server.feed.change_log import prune
from server.replica import Replica
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.following import PATIENCE, following, memory, tables
from tests.support.random_statements import ALIAS_STATEMENTS
from tests.support.random_writer import RandomWriter
from tests.support.token_writers import TokenReads, write_by_rpc, write_by_sql
from tests.support.witness import Witness, wrong_rows
from tests.support.world import OWN, populate, torn_pairs

RANDOM_WRITERS = 8
RPC_WRITERS = 2
SETTINGS = FeedSettings(poll_interval=timedelta(seconds=1), step_timeout=timedelta(seconds=15))
KEEP_LOG = timedelta(milliseconds=300)

Enough = Callable[["RandomRun"], bool]


@dataclass(slots=True)
class RandomRun:
    """What happened in a run, and what was wrong."""

    witness: Witness
    reads: TokenReads
    torn: int = 0
    pruned: int = 0
    warms: int = 0
    wrong_at_the_end: int = 0

    @property
    def aliased(self) -> int:
        """Statements that wrote aliases."""
        return sum(self.reads.counts[statement.__name__] for statement in ALIAS_STATEMENTS)

    def __str__(self) -> str:
        """All figures, a line each."""
        return "\n".join(f"{name}: {value}" for name, value in self.figures().items())

    def figures(self) -> dict[str, object]:
        """All figures by name."""
        witness, reads = self.witness, self.reads
        return {
            "steps": witness.steps,
            "comparisons": witness.comparisons,
            "mismatches": witness.mismatches,
            "aliases that break a rule": witness.broken_names,
            "looks between steps": witness.looks,
            "torn pairs seen": self.torn,
            "warms": self.warms,
            "token reads": reads.count,
            "stale token reads": reads.stale,
            "wait p50 ms": round(reads.quantile(0.5) * 1000, 2),
            "wait p99 ms": round(reads.quantile(0.99) * 1000, 2),
            "log rows pruned": self.pruned,
            "wrong rows at the end": self.wrong_at_the_end,
            "writers": dict(sorted(self.reads.counts.items())),
        }


async def random_run(url: str, seed: int, seconds: float, enough: Enough) -> RandomRun:
    """
    Fill a new database and start all of them. The seed fixes their choices, not their scheduling.

    A slow machine gets more than ``seconds``, until it has seen ``enough``.
    """
    connection = await asyncpg.connect(url)
    try:
        await populate(connection)
        witness = Witness()
        async with (
            following(url, SETTINGS, witness) as replica,
            Application(Settings(listen="127.0.0.1:0", database_url=url), report=lambda _: None) as server,
            open_channel(server.address) as channel,
        ):
            run = RandomRun(witness, TokenReads(replica, Counter()))
            await _let_loose(run, url, channel, seed, _over(run, seconds, enough))
            await replica.at(FullyConsistent(), PATIENCE)
            await witness.done()
            run.warms = replica.status().warm_count
            run.wrong_at_the_end = wrong_rows(memory(replica), await tables(connection))
            return run
    finally:
        await connection.close()


async def _over(run: RandomRun, seconds: float, enough: Enough) -> None:
    await asyncio.sleep(seconds)
    with suppress(TimeoutError):
        await eventually(lambda: enough(run))


async def _let_loose(
    run: RandomRun, url: str, channel: grpc.aio.Channel, seed: int, over: Awaitable[None]
) -> None:
    stop = asyncio.Event()

    def dice(part: str) -> Random:
        return Random(f"{seed} {part}")  # noqa: S311 - a game of dice, no secret

    jobs = [RandomWriter(url, dice(f"writer {n}"), run.reads.counts).run(stop) for n in range(RANDOM_WRITERS)]
    for number in range(OWN):
        own_dice = dice(f"own {number}")
        if number < RPC_WRITERS:
            jobs.append(write_by_rpc(channel, number, run.reads, own_dice, stop))
        else:
            jobs.append(write_by_sql(url, number, run.reads, own_dice, stop))
    jobs += [_prune(run, url, stop), _read(run, run.reads.replica, dice("reader"), stop)]
    jobs.append(_idle(url, dice("idle"), stop))
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job)
        await over
        stop.set()


async def _prune(run: RandomRun, url: str, stop: asyncio.Event) -> None:
    while not stop.is_set():
        run.pruned += await prune(url, FeedSettings(keep_log=KEEP_LOG))
        await asyncio.sleep(0.05)


async def _read(run: RandomRun, replica: Replica, dice: Random, stop: asyncio.Event) -> None:
    while not stop.is_set():
        run.torn += torn_pairs(replica)
        run.witness.look(replica)
        await asyncio.sleep(dice.random() * 0.02)


async def _idle(url: str, dice: Random, stop: asyncio.Event) -> None:
    """Keep a transaction with an id open for seconds, all the time: nothing may wait for it."""
    connection = await asyncpg.connect(url)
    try:
        while not stop.is_set():
            async with connection.transaction():
                await connection.execute("SELECT pg_current_xact_id()")
                ended = asyncio.get_running_loop().time() + dice.random() * 3
                while not stop.is_set() and asyncio.get_running_loop().time() < ended:
                    await asyncio.sleep(0.05)
    finally:
        connection.terminate()
