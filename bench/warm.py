"""Reading the whole graph into memory, and what it takes there."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from statistics import median

import asyncpg

from bench.figures import Figure, ratio, typical
from bench.graph_rows import write_dependencies, write_services
from bench.graphs import big100k, seed5k
from bench.server_process import serving
from bench.stage import Stage, connected, embedded_url
from bench.turns import take_turns_async
from server import wire
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import SnapshotReader
from server.replica import Replica

PART = "warm"
BAR = 1.5
ROUNDS = 3
LIMIT = timedelta(seconds=60)
MEMORY_BAR_MIB = 1.2e9 / 2**20
SERVICES = """
SELECT id, service_id, metadata::text, criticality, team, discovered, created_at, updated_at FROM services
"""
DEPENDENCIES = """
SELECT id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
    retry_config::text, discovery_source, confidence_score, last_observed_at, is_stale, created_at, updated_at
FROM service_dependencies
"""


def measure(stage: Stage) -> Iterator[Figure]:
    """A warm by fetching the same rows and doing nothing; of the large graph too few for a ratio, so seconds of both."""
    with stage.server(seed5k()) as (_, url):
        ours, theirs = asyncio.run(_turns(url, pairs=200, warm_up=5))
        yield ratio(PART, "seed5k: warm / fetching the same rows", ours, theirs, at_most=BAR)
    with stage.server(big100k()) as (_, url):
        ours, theirs = asyncio.run(_turns(url, pairs=ROUNDS, warm_up=1))
        yield typical(PART, "big100k: fetching all rows and doing nothing", theirs, "s")
        yield Figure(PART, "big100k: warm", median(ours), "s", at_most=BAR * median(theirs), calls=ROUNDS)


async def _turns(url: str, pairs: int, warm_up: int) -> list[list[float]]:
    async with connected(url) as connection, FeedConnection.open(url, LIMIT) as feed:
        feed_id = (await feed.row(statements.OPEN))[0]

        async def warm(_: int) -> None:
            replica = Replica(LIMIT, wire)
            await SnapshotReader(feed, feed_id, replica, wire).advance(whole=True)

        return await take_turns_async(warm, lambda _: _fetch(connection), pairs=pairs, warm_up=warm_up)


async def _fetch(connection: asyncpg.Connection) -> None:
    await connection.fetch(SERVICES, timeout=600)
    await connection.fetch(DEPENDENCIES, timeout=600)


def memory(stage: Stage) -> Iterator[Figure]:
    """Resident memory of a server, empty, with the services and with the dependencies."""
    edges = big100k()
    data_dir = stage.folder / "memory"
    with serving(data_dir):
        pass
    with serving(data_dir) as server:
        empty = server.resident_mib()
        asyncio.run(_write(embedded_url(data_dir), dependencies=False))
    with serving(data_dir) as server:
        services = server.resident_mib()
        asyncio.run(_write(embedded_url(data_dir), dependencies=True))
    with serving(data_dir) as server:
        whole = server.resident_mib()
        seconds = server.start_seconds
    yield Figure("memory", "server, empty", empty, "MiB")
    yield Figure("memory", "server with big100k, resident", whole, "MiB", at_most=MEMORY_BAR_MIB)
    yield Figure("memory", "a service", (services - empty) * 2**20 / edges.nodes, "bytes")
    yield Figure("memory", "a dependency", (whole - services) * 2**20 / len(edges.pairs), "bytes")
    yield Figure("memory", "start of a server with big100k", seconds, "s")


async def _write(url: str, *, dependencies: bool) -> None:
    async with connected(url) as connection:
        await (write_dependencies if dependencies else write_services)(connection, big100k())
