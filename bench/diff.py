"""What differs between two states: rows, cycles and blast radii, and single changes."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from uuid import UUID

from bench.graphs import big100k
from bench.measuring import Figure, stopwatch
from bench.past import LIMIT, Past
from bench.stage import Stage, connected
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.distances import distances
from graphcore.analysis.graph_changes import graph_changes
from server.domain.history_changes import Window, present_mark
from server.domain.live_graph import AsOf
from server.feed.connection import FeedConnection
from server.replica import KeptPasts
from server.rpc.answers import joined_parts
from server.rpc.history.rows import differing
from server.store.database import Database
from server.store.history import HistoryReader
from server.store.history_changes import HistoryRepository

BAR_MS = 200.0
ROUNDS = 7
PAGE, HOPS = 101, 2
PART_BYTES = 1 << 20


def measure(stage: Stage) -> Iterator[Figure]:
    """A million dependencies, 1 % of them changed since."""
    with stage.server(big100k()) as (_, url):
        yield from asyncio.run(_after_churn(url))


async def _after_churn(url: str) -> list[Figure]:
    async with _opened(url) as (past, reader):
        await past.after("1 % churn", 0.01)
        return await figures(past, reader, past.before)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[Past, HistoryReader]]:
    async with (
        connected(url) as connection,
        FeedConnection.open(url, LIMIT) as feed,
        Database.open(url) as database,
    ):
        reader = HistoryReader(database)
        yield Past(connection, feed, reader), reader


async def figures(past: Past, reader: HistoryReader, before: datetime) -> list[Figure]:
    """Compare the graph of then, which is kept, with the one in memory."""
    past.replica.past = KeptPasts(past.replica, reader)
    with stopwatch() as building:
        then = (await past.replica.at(AsOf(before), LIMIT)).graph
    position = past.replica.position
    assert position is not None
    since = await reader.mark_at(before)
    assert since is not None
    window = Window(since, present_mark(position, datetime.now(UTC)), position)
    store, live = HistoryRepository(reader), past.replica.now()
    gc.freeze()
    counts: list[int] = []

    async def rows() -> None:
        found = await store.netted(window, ())
        counts.append(len(found.services) + len(found.dependencies))
        records = await asyncio.to_thread(differing, found, EdgeFilter(), then)
        async for _ in joined_parts(records, PART_BYTES):
            pass

    async def effects() -> None:
        await asyncio.to_thread(graph_changes, then, live, EdgeFilter())

    async def nearest() -> None:
        former = await store.former_ends(window, position.snapshot.text)
        start = live.services()[0].key
        near = await asyncio.to_thread(_near, live, start, former.pairs)
        await store.nearest(window, near, PAGE, None)

    taken = {
        "rows of a diff": await _seconds(rows),
        "cycles and blast radii of a diff": await _seconds(effects),
        "a page of the newest changes": await _seconds(lambda: store.newest(window, PAGE, None)),
        "a page of the nearest changes, two hops": await _seconds(nearest),
    }
    bars = {"rows of a diff": BAR_MS}
    return [
        Figure("the graph of then, for the first diff", building.seconds, "s"),
        Figure("rows that differ", counts[0], ""),
        *(
            Figure(what, 1_000 * median(seconds), "ms", at_most=bars.get(what), calls=ROUNDS)
            for what, seconds in taken.items()
        ),
        Figure("rows of a diff, the first time", 1_000 * taken["rows of a diff"][0], "ms"),
    ]


def _near(graph: DependencyGraph, start: Hashable, pairs: Sequence[tuple[UUID, UUID]]) -> dict[UUID, int]:
    more = [(source.bytes, target.bytes) for source, target in pairs]
    found = distances(graph, start, HOPS, more=more)
    return {UUID(bytes=key): hops for key, hops in found.items() if isinstance(key, bytes)}


async def _seconds(call: Callable[[], Awaitable[object]]) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        with stopwatch() as calling:
            await call()
        taken.append(calling.seconds)
    return taken
