"""The change feed: commit to visible, the cost of one step, and working off a long change log."""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import grpc

from bench.giant import CAUGHT_UP_BAR_SECONDS, PER_SERVICE, fill, until_caught_up
from bench.graphs import big100k
from bench.measuring import Figure, quantile_figure, ratio, stopwatch, take_turns_async, typical
from bench.stage import CONNECT, ServerProcess, Stage, connected, embedded_url, serving
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import INLINE_CHANGES
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from server.store.migrations.versions import SCRIPTS

if TYPE_CHECKING:
    from depgraph.v1.graph_service_pb2_grpc import GraphServiceAsyncStub


WRITES_A_SECOND = 100
# One write in four is waited for, the others are load.
SAMPLE_EVERY = 4
FRESH_SAMPLES, FRESH_WARM_UP = 300, 25
PROBE = "INSERT INTO services (service_id, team) VALUES ('prober', '0'), ('probe', '0')"
SET_TEAM = "UPDATE services SET team = $2 WHERE service_id = $1"


def fresh(stage: Stage) -> Iterator[Figure]:
    """Commit to visible, under writes, on a graph of a large company."""
    with stage.server(big100k()) as (server, url):
        yield from asyncio.run(_fresh(server.address, url))


async def _fresh(address: str, url: str) -> list[Figure]:
    async with connected(url) as connection, grpc.aio.insecure_channel(address) as channel:
        seen = Seen(channel)
        await connection.execute(PROBE)
        await connection.execute(CONNECT, "prober", "probe")
        await seen.first()
        waits, seconds = await _write_and_watch(connection, seen)
    kept, looks = waits[FRESH_WARM_UP:], seen.looks
    what = f"big100k, {WRITES_A_SECOND} writes a second: commit to visible in Traverse"
    return [
        quantile_figure(f"{what}, p50", kept, 0.5, at_most=5),
        quantile_figure(f"{what}, p99", kept, 0.99, at_most=25),
        Figure("  writes a second meanwhile", len(waits) * SAMPLE_EVERY / seconds, ""),
        quantile_figure("  Traverse itself, p50: how finely was looked", looks, 0.5),
        quantile_figure("  Traverse itself, p99: how quiet the machine was", looks, 0.99),
    ]


async def _write_and_watch(connection: asyncpg.Connection, seen: "Seen") -> tuple[list[float], float]:
    """
    Write on schedule.

    Returns the seconds from the commit of each sample until it was seen, and the seconds of all.
    """
    chooser, waits, began = random.Random(1), [], time.perf_counter()
    for number in range((FRESH_SAMPLES + FRESH_WARM_UP) * SAMPLE_EVERY):
        await asyncio.sleep(began + number / WRITES_A_SECOND - time.perf_counter())
        if number % SAMPLE_EVERY:
            await connection.execute(SET_TEAM, f"s{chooser.randrange(big100k().nodes)}", str(number))
            continue
        waits.append(await _until_seen(connection, seen, number))
    return waits, time.perf_counter() - began


class Seen:
    """Reads the probe from memory again and again; ``looks`` holds the seconds of each read."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = GraphServiceStub(channel)
        self.looks: list[float] = []

    async def first(self) -> None:
        """Wait until the probe is in memory."""
        now = Consistency(fully_consistent=True)
        await self._stub.Traverse(
            pb.TraverseRequest(service_id="prober", direction=pb.DIRECTION_DOWNSTREAM, consistency=now)
        )

    async def when(self, team: str) -> float:
        """Time at which the probe is first seen in a team."""
        request = pb.TraverseRequest(service_id="prober", direction=pb.DIRECTION_DOWNSTREAM, max_depth=1)
        while True:
            with stopwatch() as look:
                answer = await self._stub.Traverse(request)
            self.looks.append(look.seconds)
            if answer.services[0].team == team:
                return time.perf_counter()


STEP_PAIRS, STEP_WARM_UP = 2_000, 200
STEP_LIMIT = timedelta(seconds=10)
STEP_FILL = "INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 100000) AS n"
STEP_CHANGE = "UPDATE services SET team = $1 WHERE service_id = 's1'"

# As the migration before had them, under another name.
FORMER_SCRIPT = "0008_relation_identity.down.sql"
FORMER_STEP = re.compile(r"CREATE OR REPLACE FUNCTION depgraph_feed\.step\(.*?\n\$\$;", re.DOTALL)
FORMER_BEGIN = statements.BEGIN.replace(", depgraph_feed.change_log, depgraph_feed.alias_log", "")
FORMER = statements.STEP.replace("depgraph_feed.whole_step", "depgraph_feed.former_step")

Change = Callable[[], Awaitable[None]]


def step(stage: Stage) -> Iterator[Figure]:
    """A step without news and one with a changed row, with 100,000 rows in the log."""
    yield from asyncio.run(_step(stage.folder / "step"))


async def _step(folder: Path) -> list[Figure]:
    async with EmbeddedPostgres(folder) as database:
        await migrate.upgrade(database.url)
        async with connected(database.url) as writer:
            await writer.execute(STEP_FILL)
            await writer.execute(_former_step())
            async with FeedConnection.open(database.url, STEP_LIMIT) as feed:
                await feed.row(statements.OPEN)
                idle = await _step_seconds(feed, writer, changes=False)
                changed = await _step_seconds(feed, writer, changes=True)
    return [*_step_figures("without news", *idle), *_step_figures("with a changed row", *changed)]


def _step_figures(when: str, now: list[float], former: list[float]) -> Iterator[Figure]:
    yield ratio(f"a step {when} / without a look at the identity", now, former, at_most=1.03)
    yield typical(f"  with it, {when}", now)
    yield typical(f"  without it, {when}", former)


def _former_step() -> str:
    found = FORMER_STEP.search((SCRIPTS / FORMER_SCRIPT).read_text(encoding="utf-8"))
    if found is None:
        raise LookupError(FORMER_SCRIPT)
    return found[0].replace("depgraph_feed.step", "depgraph_feed.former_step")


async def _step_seconds(
    feed: FeedConnection, writer: asyncpg.Connection, *, changes: bool
) -> list[list[float]]:
    cursor: str = await writer.fetchval("SELECT pg_current_snapshot()::text")
    if changes:
        # Every step finds it anew, since the cursor stays where it was.
        await writer.execute(STEP_CHANGE, "changed")

    def asking(begin: str, query: str) -> Callable[[int], Awaitable[None]]:
        async def take(_: int) -> None:
            await feed.execute(begin)
            head = await feed.row(query, cursor, INLINE_CHANGES)
            await feed.execute(statements.COMMIT)
            if len(head["ids"]) != changes or head["incarnation"] is None or not head["usable"]:
                raise AssertionError(head)

        return take

    return await take_turns_async(
        asking(statements.BEGIN, statements.STEP),
        asking(FORMER_BEGIN, FORMER),
        pairs=STEP_PAIRS,
        warm_up=STEP_WARM_UP,
    )


MAX_LOG_ROWS = 2_000_000
# So that several prunings fall into the time that is watched.
WATCHED_SECONDS, PAUSE_SECONDS = 100, 0.05
LOG_ROWS = "SELECT count(*) FROM depgraph_feed.change_log"


def backlog(stage: Stage) -> Iterator[Figure]:
    """
    Start a server on a database whose change log is longer than its bound.

    Measures the start, the first write, and how soon writes are seen while the log is pruned.
    """
    folder = stage.folder / "backlog"
    asyncio.run(fill(folder, stage.giant_services, logged=True))
    rows = stage.giant_services * (PER_SERVICE + 1)
    with serving(folder, "--max-log-rows", str(min(MAX_LOG_ROWS, rows // 3))) as server:
        yield from asyncio.run(_backlog(server, embedded_url(folder), stage.giant_services))


async def _backlog(server: ServerProcess, url: str, services: int) -> list[Figure]:
    began = time.perf_counter()
    async with connected(url) as connection, grpc.aio.insecure_channel(server.address) as channel:
        shape = f"{services:,} services, {PER_SERVICE * services:,} dependencies"
        logged = await connection.fetchval(LOG_ROWS)
        stub, seen = GraphServiceStub(channel), Seen(channel)
        caught_up = asyncio.create_task(_caught_up_after(stub, began))
        committed = time.perf_counter()
        await connection.execute(PROBE)
        await connection.execute(CONNECT, "prober", "probe")
        await seen.first()
        first = time.perf_counter() - committed
        waits = await _waits_until(began + WATCHED_SECONDS, connection, seen)
        left = await connection.fetchval(LOG_ROWS)
        warms = (await stub.GetStatus(pb.GetStatusRequest())).warm_count
        return [
            Figure(f"{shape}: rows of the log at the start", logged, "rows"),
            Figure("start of the server", server.start_seconds, "s"),
            Figure("first write: commit to visible", first * 1e3, "ms"),
            quantile_figure("commit to visible, p50", waits, 0.5),
            quantile_figure("the same, p99", waits, 0.99, at_most=25),
            Figure("the same, longest", max(waits) * 1e3, "ms"),
            Figure("times that everything was read", warms, "", at_most=1),
            Figure("serving to alerts caught up", await caught_up, "s", at_most=CAUGHT_UP_BAR_SECONDS),
            Figure(f"rows of the log after {WATCHED_SECONDS} s", left, "rows"),
            Figure("resident, at most", server.memory_mib("VmHWM"), "MiB"),
        ]


async def _waits_until(end: float, connection: asyncpg.Connection, seen: "Seen") -> list[float]:
    """Write again and again; returns the seconds from each commit until it was seen."""
    waits: list[float] = []
    for number in itertools.count(1):
        if time.perf_counter() > end:
            break
        waits.append(await _until_seen(connection, seen, number))
        await asyncio.sleep(PAUSE_SECONDS)
    return waits


async def _until_seen(connection: asyncpg.Connection, seen: "Seen", number: int) -> float:
    looking = asyncio.create_task(seen.when(str(number)))
    await connection.execute(SET_TEAM, "probe", str(number))
    committed = time.perf_counter()
    return max(0.0, await looking - committed)


async def _caught_up_after(stub: "GraphServiceAsyncStub", began: float) -> float:
    await until_caught_up(stub)
    return time.perf_counter() - began
