"""
What a batch of dependencies costs beside the plainest statement that could write the same rows: new ones, changed ones, and such as are there.

That statement is one INSERT … ON CONFLICT with every column given, even the ids of rows and of their ends, into a table without triggers, over a
session with PostgreSQL's own settings. It takes turns with ours, on a database of its own in the same cluster.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from bench.batches import Batch, batches
from bench.figures import Figure, Seconds, ratio, stopwatch, typical
from bench.server_process import serving
from bench.stage import Stage, connected, embedded_url
from bench.writers import Bare, Repository, Rpc, Writer, database, fill

ROWS, FEWER_ROWS = 10_000, 1_000
PAIRS, WARM_UP = 200, 5
# So many turns, then the tables are emptied.
FILL = 20
WITHOUT_FEED = "ALTER TABLE service_dependencies DISABLE TRIGGER depgraph_feed_{}"

PLAIN = "bare INSERT"

Taken = dict[str, list[list[float]]]


def upsert(stage: Stage) -> Iterator[Figure]:
    """BatchUpsertDependencies by the bare statement; then, in smaller batches, the repository alone as well."""
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
        large = await _take_turns([rpc, bare], ROWS)
        small = await _take_turns([rpc, repository, bare], FEWER_ROWS)
    figures: list[Figure] = []
    for kind, (call, least) in large.items():
        figures += _compared(f"upsert of {ROWS:,} {kind} rows", ("the call", call), (PLAIN, least), at_most=2)
    for kind, (call, alone, least) in small.items():
        what = f"upsert of {FEWER_ROWS:,} {kind} rows"
        figures += _compared(what, ("the call", call), (PLAIN, least))
        figures += _compared(what, ("the repository", alone), (PLAIN, least))
    return figures


async def _triggers(url: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        plain_url = await database(url, "plain")
        async with connected(plain_url) as connection:
            for event in ("insert", "update", "delete", "truncate"):
                await connection.execute(WITHOUT_FEED.format(event))
        logged = await stack.enter_async_context(Repository.opened(await database(url, "logged")))
        plain = await stack.enter_async_context(Repository.opened(plain_url))
        taken = await _take_turns([logged, plain], ROWS)
    figures: list[Figure] = []
    for kind, (above, below) in taken.items():
        what = f"triggers at {ROWS:,} {kind} rows"
        figures += _compared(what, ("with the feed's", above), ("without", below))
    return figures


def _compared(
    what: str, ours: tuple[str, Seconds], theirs: tuple[str, Seconds], *, at_most: float | None = None
) -> Iterator[Figure]:
    """A ratio and what it is made of; ``what`` begins with the name of the part."""
    part = what.partition(" ")[0]
    (above, taken), (below, least) = ours, theirs
    yield ratio(part, f"{what}: {above} / {below}", taken, least, at_most=at_most)
    yield typical(part, f"  {above}", taken, "ms")
    yield typical(part, f"  {below}", least, "ms")


async def _take_turns(writers: Sequence[Writer], rows: int) -> Taken:
    """The seconds that each took for each kind of batch; what a write sets off is over before the next. Every other turn goes backwards."""
    taken: Taken = {}
    places = range(len(writers))
    for number in range(-WARM_UP, PAIRS):
        if number % FILL == 0 or number == -WARM_UP:
            for writer in writers:
                await writer.empty()
        for batch in batches(rows, number % FILL, number):
            times = taken.setdefault(batch.kind, [[] for _ in writers])
            for which in reversed(places) if number % 2 else places:
                seconds = await _seconds(writers[which], batch)
                if number >= 0:
                    times[which].append(seconds)
    return taken


async def _seconds(writer: Writer, batch: Batch) -> float:
    write = writer.ready(batch)
    with stopwatch() as watch:
        await write()
    await writer.rest(batch)
    return watch.seconds
