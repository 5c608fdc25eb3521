"""The change feed: how soon a commit is seen, and what its triggers cost a large upsert."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import asyncpg
import grpc

from bench.figures import Figure, quantile, stopwatch
from bench.graphs import big100k
from bench.stage import Stage
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from server.domain.dependencies import DependencyDraft
from server.store import migrate
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.embedded import EmbeddedPostgres

FRESH, TRIGGERS = "fresh", "triggers"
WRITES_A_SECOND = 100
# One write in four is waited for, the others are load.
SAMPLE_EVERY = 4
SAMPLES, WARM_UP = 300, 25
PROBE = """
INSERT INTO services (service_id, team) VALUES ('prober', '0'), ('probe', '0');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync' FROM services AS a, services AS b WHERE a.service_id = 'prober' AND b.service_id = 'probe';
"""
SET_TEAM = "UPDATE services SET team = $2 WHERE service_id = $1"

ROWS, PAIRS = 10_000, 24
BASE_SERVICES = 2_000
SWITCH_OFF = "ALTER TABLE {table} DISABLE TRIGGER depgraph_feed_{event}"


def fresh(stage: Stage) -> Iterator[Figure]:
    """Commit to visible, under writes, on a graph of a large company."""
    with stage.server(big100k()) as (server, url):
        yield from asyncio.run(_fresh(server.address, url))


def triggers(_: Stage) -> Iterator[Figure]:
    """A large upsert with the feed's triggers and without them, taking turns."""
    with tempfile.TemporaryDirectory(prefix="depgraph-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield from asyncio.run(_triggers(folder / "data"))


async def _fresh(address: str, url: str) -> list[Figure]:
    connection = await asyncpg.connect(url)
    await connection.execute(PROBE)
    async with grpc.aio.insecure_channel(address) as channel:
        seen = _Seen(channel)
        waits, seconds = await _write_and_watch(connection, seen)
    await connection.close()
    kept, looks = waits[WARM_UP:], seen.looks
    what = f"big100k, {WRITES_A_SECOND} writes a second: commit to visible in Traverse"
    return [
        Figure(FRESH, f"{what}, p50", quantile(kept, 0.5) * 1000, "ms", at_most=5, calls=len(kept)),
        Figure(FRESH, f"{what}, p99", quantile(kept, 0.99) * 1000, "ms", at_most=25, calls=len(kept)),
        Figure(FRESH, "  writes a second meanwhile", len(waits) * SAMPLE_EVERY / seconds, ""),
        Figure(FRESH, "  Traverse itself, p50: how finely was looked", quantile(looks, 0.5) * 1000, "ms"),
        Figure(
            FRESH, "  Traverse itself, p99: how quiet the machine was", quantile(looks, 0.99) * 1000, "ms"
        ),
    ]


async def _write_and_watch(connection: asyncpg.Connection, seen: "_Seen") -> tuple[list[float], float]:
    """Write on schedule; returns how long each sample took to be seen after its commit, and how long all took, in seconds."""
    chooser, waits, began = random.Random(1), [], time.perf_counter()
    for number in range((SAMPLES + WARM_UP) * SAMPLE_EVERY):
        await asyncio.sleep(began + number / WRITES_A_SECOND - time.perf_counter())
        if number % SAMPLE_EVERY:
            await connection.execute(SET_TEAM, f"s{chooser.randrange(big100k().nodes)}", str(number))
            continue
        looking = asyncio.create_task(seen.when(str(number)))
        await connection.execute(SET_TEAM, "probe", str(number))
        committed = time.perf_counter()
        waits.append(max(0.0, await looking - committed))
    return waits, time.perf_counter() - began


class _Seen:
    """Looks at the probe from memory, again and again; ``looks`` are the seconds that a look took."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = GraphServiceStub(channel)
        self.looks: list[float] = []

    async def when(self, team: str) -> float:
        """Time at which the probe is first seen in a team."""
        request = pb.TraverseRequest(service_id="prober", direction=pb.DIRECTION_DOWNSTREAM, max_depth=1)
        while True:
            with stopwatch() as look:
                answer = await self._stub.Traverse(request)
            self.looks.append(look.seconds)
            if answer.services[0].team == team:
                return time.perf_counter()


async def _triggers(data_dir: Path) -> list[Figure]:
    async with EmbeddedPostgres(data_dir) as postgres:
        plain = await _database(postgres.url, "without_triggers", triggers=False)
        logged = await _database(postgres.url, "with_triggers", triggers=True)
        async with _repository(logged) as with_triggers, _repository(plain) as without:
            new = [await _pair(with_triggers, without, number, new=True) for number in range(PAIRS + 1)]
            changed = [await _pair(with_triggers, without, number, new=False) for number in range(PAIRS + 1)]
    return [*_ratio("new", new[1:]), *_ratio("changed", changed[1:])]


def _ratio(kind: str, pairs: list[tuple[float, float]]) -> Iterator[Figure]:
    ratios = [logged / plain for logged, plain in pairs]
    yield Figure(TRIGGERS, f"upsert of {ROWS:,} {kind} rows, with triggers / without", median(ratios), "x")
    yield Figure(TRIGGERS, "  with triggers", median(logged for logged, _ in pairs) * 1000, "ms")
    yield Figure(TRIGGERS, "  without", median(plain for _, plain in pairs) * 1000, "ms")
    yield Figure(TRIGGERS, "  pairs", len(pairs), "")


async def _pair(
    logged: DependencyRepository, plain: DependencyRepository, number: int, *, new: bool
) -> tuple[float, float]:
    drafts = _drafts(number, new=new)
    return await _seconds(logged, drafts), await _seconds(plain, drafts)


async def _seconds(repository: DependencyRepository, drafts: list[DependencyDraft]) -> float:
    with stopwatch() as upsert:
        written = await repository.upsert(drafts)
    assert len(written.value.rows) == ROWS
    return upsert.seconds


def _drafts(number: int, *, new: bool) -> list[DependencyDraft]:
    """The same keys each time, changed, or keys that come for the first time."""
    first = number * ROWS if new else 0
    return [
        DependencyDraft(
            source_service_id=f"s{pair // BASE_SERVICES}",
            target_service_id=f"t{pair % BASE_SERVICES}",
            communication_mode="sync",
            timeout_ms=number + 1,
        )
        for pair in range(first, first + ROWS)
    ]


async def _database(url: str, name: str, *, triggers: bool) -> str:
    """Create a database with services and no dependencies."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    own = url.replace("/depgraph?", f"/{name}?")
    await migrate.upgrade(own)
    connection = await asyncpg.connect(own)
    await connection.execute(
        "INSERT INTO services (service_id) SELECT side || n FROM unnest(ARRAY['s', 't']) AS side, generate_series(0, $1::int - 1) AS n",
        BASE_SERVICES,
    )
    if not triggers:
        for event in ("insert", "update", "delete", "truncate"):
            await connection.execute(SWITCH_OFF.format(table="service_dependencies", event=event))
    await connection.close()
    return own


@asynccontextmanager
async def _repository(url: str) -> AsyncIterator[DependencyRepository]:
    async with await Database.open(url) as database:
        yield DependencyRepository(database)
