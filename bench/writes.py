"""
What a batch of new, changed or unchanged dependencies costs, and what a sweep for stale ones costs.

A batch is compared with the plainest statement that could write the same rows: one INSERT …
ON CONFLICT with every column given, even the ids of rows and of their ends, into a table without
triggers, with PostgreSQL's own settings. Both take turns, each on its own database of one cluster.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import asyncpg

from bench.graphs import Edges, big100k, seed5k
from bench.measuring import Figure, Seconds, ratio, stopwatch, take_turns_async, typical
from bench.stage import Stage, connected, embedded_url, serving, write_dependencies, write_services
from bench.writers import Bare, Batch, Repository, Rpc, Writer, batches, database, fill
from server.config import StalenessSettings
from server.store.staleness import Swept, sweep

ROWS, FEWER_ROWS = 10_000, 1_000
PAIRS, WARM_UP = 200, 5
# So many turns, then the tables are emptied.
FILL = 20
WITHOUT_FEED = "ALTER TABLE service_dependencies DISABLE TRIGGER depgraph_feed_{}"

PLAIN = "bare INSERT"

Taken = dict[str, list[list[float]]]


def upsert(stage: Stage) -> Iterator[Figure]:
    """Compare BatchUpsertDependencies, and then the repository alone, with the bare statement."""
    folder = stage.folder / "upsert"
    with serving(folder) as server:
        yield from asyncio.run(_upsert(server.address, embedded_url(folder)))


def triggers(stage: Stage) -> Iterator[Figure]:
    """The repository with the feed's triggers and without them."""
    folder = stage.folder / "triggers"
    with serving(folder):
        yield from asyncio.run(_triggers(embedded_url(folder)))


async def _upsert(address: str, url: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        await fill(url)
        rpc = await stack.enter_async_context(Rpc.opened(address, url))
        bare = await stack.enter_async_context(Bare.opened(await database(url, "bare")))
        repository = await stack.enter_async_context(Repository.opened(await database(url, "repository")))
        large = await write_in_turns([rpc, bare], ROWS)
        small = await write_in_turns([rpc, repository, bare], FEWER_ROWS)
    figures: list[Figure] = []
    for kind, (call, least) in large.items():
        figures += compared(f"upsert of {ROWS:,} {kind} rows", ("the call", call), (PLAIN, least), at_most=2)
    for kind, (call, alone, least) in small.items():
        what = f"upsert of {FEWER_ROWS:,} {kind} rows"
        figures += compared(what, ("the call", call), (PLAIN, least))
        figures += compared(what, ("the repository", alone), (PLAIN, least))
    return figures


async def _triggers(url: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        plain_url = await database(url, "plain")
        async with connected(plain_url) as connection:
            for event in ("insert", "update", "delete", "truncate"):
                await connection.execute(WITHOUT_FEED.format(event))
        logged = await stack.enter_async_context(Repository.opened(await database(url, "logged")))
        plain = await stack.enter_async_context(Repository.opened(plain_url))
        taken = await write_in_turns([logged, plain], ROWS)
    figures: list[Figure] = []
    for kind, (above, below) in taken.items():
        what = f"triggers at {ROWS:,} {kind} rows"
        figures += compared(what, ("with the feed's", above), ("without", below))
    return figures


def compared(
    what: str, ours: tuple[str, Seconds], theirs: tuple[str, Seconds], *, at_most: float | None = None
) -> Iterator[Figure]:
    """A ratio and what it is made of."""
    (above, taken), (below, least) = ours, theirs
    yield ratio(f"{what}: {above} / {below}", taken, least, at_most=at_most)
    yield typical(f"  {above}", taken, "ms")
    yield typical(f"  {below}", least, "ms")


async def write_in_turns(
    writers: Sequence[Writer], rows: int, batches: Callable[[int, int, int], Iterable[Batch]] = batches
) -> Taken:
    """
    Return the seconds of each writer by kind of batch. Every other turn goes backwards.

    Whatever a write sets off is over before the next one.
    """
    taken: Taken = {}
    places = range(len(writers))
    for number in range(-WARM_UP, PAIRS):
        if number % FILL == 0 or number == -WARM_UP:
            for writer in writers:
                await writer.empty()
        for batch in batches(rows, number % FILL, number):
            times = taken.setdefault(batch.kind, [[] for _ in writers])
            for which in reversed(places) if number % 2 else places:
                write = writers[which].ready(batch)
                with stopwatch() as watch:
                    await write()
                await writers[which].rest(batch)
                if number >= 0:
                    times[which].append(watch.seconds)
    return taken


LOOKS, ROUNDS, SOME, MANY = 20, 5, 10_000, 100_000
SETTINGS = StalenessSettings(
    stale_after={"manual": timedelta(days=7)}, half_life={"manual": timedelta(days=3)}
)
OLD = "UPDATE service_dependencies SET last_observed_at = now() - interval '10 days'{} WHERE id = ANY ($1)"
STALE_AND_DECAYED = ", is_stale = true, confidence_score = 0.5 ^ (10 / 3.0), reported_confidence = 1"
OBSERVED = "UPDATE service_dependencies SET last_observed_at = now() WHERE is_stale"


def sweeps(stage: Stage) -> Iterator[Figure]:
    """In a database of its own, with a server that follows it."""
    for edges in (seed5k(), big100k()):
        folder = stage.folder / f"sweep-{edges.name}"
        with serving(folder):
            yield from asyncio.run(_sweeps(embedded_url(folder), edges))


async def _sweeps(url: str, edges: Edges) -> list[Figure]:
    # As the sweeper is connected.
    async with connected(url, jit="off", plan_cache_mode="force_custom_plan", timezone="UTC") as connection:
        await write_services(connection, edges)
        await write_dependencies(connection, edges)
        await connection.execute("VACUUM ANALYZE service_dependencies", timeout=600)
        fresh = await _looks(connection)
        rows = await _writes(connection)
        many = min(MANY, len(edges.pairs))
        await connection.execute(OLD.format(STALE_AND_DECAYED), await _some(connection, many), timeout=600)
        await connection.execute("VACUUM ANALYZE service_dependencies", timeout=600)
        stale = await _looks(connection)
    return [
        typical(f"{edges.name}: nothing to do, all observed just now", fresh, "ms"),
        typical(f"{edges.name}: nothing to do, {many:,} stale and decayed", stale, "ms"),
        typical(f"{edges.name}: {SOME:,} to mark stale and to decay", rows, "ms"),
    ]


async def _looks(connection: asyncpg.Connection) -> Seconds:
    async def look(_: int) -> None:
        assert not await sweep(connection, SETTINGS)

    [taken] = await take_turns_async(look, pairs=LOOKS, warm_up=0)
    return taken


async def _writes(connection: asyncpg.Connection) -> Seconds:
    taken = []
    for _ in range(ROUNDS):
        await connection.execute(OLD.format(""), await _some(connection, SOME), timeout=600)
        with stopwatch() as watch:
            swept = await sweep(connection, SETTINGS)
        assert swept == Swept(SOME, SOME, 0)
        taken.append(watch.seconds)
        await connection.execute(OBSERVED, timeout=600)
    return taken


async def _some(connection: asyncpg.Connection, count: int) -> list[UUID]:
    rows = await connection.fetch("SELECT id FROM service_dependencies LIMIT $1", count)
    return [row["id"] for row in rows]
