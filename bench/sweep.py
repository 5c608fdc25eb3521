"""What a sweep takes: with nothing to do, and with ten thousand dependencies to mark and to decay."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg

from bench.figures import Figure, Seconds, stopwatch, typical
from bench.graph_rows import write_dependencies, write_services
from bench.graphs import Edges, big100k, seed5k
from bench.server_process import serving
from bench.stage import Stage, embedded_url
from server.config import StalenessSettings
from server.store.staleness import Swept, sweep

PART = "sweep"
LOOKS, ROUNDS, SOME, MANY = 20, 5, 10_000, 100_000
SETTINGS = StalenessSettings(
    stale_after={"manual": timedelta(days=7)}, half_life={"manual": timedelta(days=3)}
)
OLD = "UPDATE service_dependencies SET last_observed_at = now() - interval '10 days'{} WHERE id = ANY ($1)"
STALE_AND_DECAYED = ", is_stale = true, confidence_score = 0.5 ^ (10 / 3.0), reported_confidence = 1"
OBSERVED = "UPDATE service_dependencies SET last_observed_at = now() WHERE is_stale"


def measure(stage: Stage) -> Iterator[Figure]:
    """In a database of its own, with a server that follows it."""
    for edges in (seed5k(), big100k()):
        folder = stage.folder / f"sweep-{edges.name}"
        with serving(folder):
            yield from asyncio.run(_measure(embedded_url(folder), edges))


async def _measure(url: str, edges: Edges) -> list[Figure]:
    async with _connected(url) as connection:
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
        typical(PART, f"{edges.name}: nothing to do, all observed just now", fresh, "ms"),
        typical(PART, f"{edges.name}: nothing to do, {many:,} stale and decayed", stale, "ms"),
        typical(PART, f"{edges.name}: {SOME:,} to mark stale and to decay", rows, "ms"),
    ]


async def _looks(connection: asyncpg.Connection) -> Seconds:
    taken = []
    for _ in range(LOOKS):
        with stopwatch() as watch:
            swept = await sweep(connection, SETTINGS)
        assert not swept
        taken.append(watch.seconds)
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
    return [
        row["id"] for row in await connection.fetch("SELECT id FROM service_dependencies LIMIT $1", count)
    ]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """As the sweeper is connected."""
    settings = {"jit": "off", "plan_cache_mode": "force_custom_plan", "timezone": "UTC"}
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()
