"""A start: reading the graph into memory, the memory that takes, and the first day of a user."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

import asyncpg

from bench.graphs import big100k, jaeger_file, seed5k
from bench.measuring import Figure, ratio, stopwatch, take_turns_async, typical
from bench.server_process import ServerProcess, serving
from bench.stage import Stage, connected, embedded_url, write_dependencies, write_services
from depgraph import Client
from depgraph.v1 import graph_service_pb2 as pb
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import SnapshotReader
from server.formats.jaeger import read_jaeger
from server.replica import Replica

WARM = "warm"
BAR = 1.5
ROUNDS = 3
LIMIT = timedelta(seconds=60)
MEMORY_BAR_MIB = 1.2e9 / 2**20


def warm(stage: Stage) -> Iterator[Figure]:
    """
    Compare a warm with fetching the same rows and dropping them.

    The large graph allows too few rounds for a ratio, so both are shown in seconds.
    """
    with stage.server(seed5k()) as (_, url):
        ours, theirs = asyncio.run(_turns(url, pairs=200, warm_up=5))
        yield ratio(WARM, "seed5k: warm / fetching the same rows", ours, theirs, at_most=BAR)
    with stage.server(big100k()) as (_, url):
        ours, theirs = asyncio.run(_turns(url, pairs=ROUNDS, warm_up=1))
        yield typical(WARM, "big100k: fetching all rows and doing nothing", theirs, "s")
        yield Figure(WARM, "big100k: warm", median(ours), "s", at_most=BAR * median(theirs), calls=ROUNDS)


async def _turns(url: str, pairs: int, warm_up: int) -> list[list[float]]:
    async with connected(url) as connection, FeedConnection.open(url, LIMIT) as feed:
        feed_id = (await feed.row(statements.OPEN))[0]

        async def read_anew(_: int) -> None:
            replica = Replica(LIMIT)
            await SnapshotReader(feed, feed_id, replica).advance(whole=True)

        return await take_turns_async(read_anew, lambda _: _fetch(connection), pairs=pairs, warm_up=warm_up)


async def _fetch(connection: asyncpg.Connection) -> None:
    await connection.fetch(statements.SERVICES, timeout=600)
    await connection.fetch(statements.DEPENDENCIES, timeout=600)


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


FIRST_DAY = "first-day"
CALLS = 20


def first_day(stage: Stage) -> Iterator[Figure]:
    path, data_dir = jaeger_file(stage.given, stage.folder), stage.folder / "first-day"
    with serving(data_dir) as server:
        yield Figure(FIRST_DAY, "first start, database created", server.start_seconds, "s")
        yield Figure(FIRST_DAY, "memory of the server, empty", server.resident_mib(), "MiB")
        yield from _import(server, path)
    with serving(data_dir) as server:
        yield Figure(FIRST_DAY, "start with that graph", server.start_seconds, "s")
        yield Figure(FIRST_DAY, "memory of the server after that start", server.resident_mib(), "MiB")
        with Client(server.address) as client:
            yield from _status(client)
            yield from _answers(client, _hub(path))


def _import(server: ServerProcess, path: Path) -> Iterator[Figure]:
    with stopwatch() as parsing:
        read_jaeger(path.read_bytes())
    with stopwatch() as whole:
        subprocess.run(
            [sys.executable, "-m", "server.cli", "import", "jaeger", str(path), "--address", server.address],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    yield Figure(FIRST_DAY, f"depgraph import jaeger {path.name}", whole.seconds, "s")
    yield Figure(FIRST_DAY, "  of which reading the file", parsing.seconds, "s")
    yield Figure(FIRST_DAY, "memory of the server after the import", server.resident_mib(), "MiB")


def _status(client: Client) -> Iterator[Figure]:
    status = client.graph.GetStatus(pb.GetStatusRequest())
    yield Figure(FIRST_DAY, "  services in memory", status.service_count, "")
    yield Figure(FIRST_DAY, "  dependencies in memory", status.dependency_count, "")
    yield Figure(FIRST_DAY, "  of which reading the graph", _seconds(status.warm_duration.ToTimedelta()), "s")


def _answers(client: Client, hub: str) -> Iterator[Figure]:
    ids = pb.TraverseRequest(
        service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1, view=pb.TRAVERSAL_VIEW_IDS
    )
    full = pb.StreamTraverseRequest(service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1)
    near = pb.TraverseRequest(service_id=hub, direction=pb.DIRECTION_DOWNSTREAM, max_depth=3)
    found = len(client.graph.Traverse(ids).service_ids)
    yield Figure(FIRST_DAY, f"services one hop upstream of {hub}", found, "")
    yield Figure(FIRST_DAY, "  Traverse, view IDS", _typical(lambda: client.graph.Traverse(ids)), "ms")
    yield Figure(
        FIRST_DAY,
        "  StreamTraverse, view FULL",
        _typical(lambda: list(client.graph.StreamTraverse(full))),
        "ms",
    )
    yield Figure(
        FIRST_DAY, f"Traverse 3 hops downstream of {hub}", _typical(lambda: client.graph.Traverse(near)), "ms"
    )
    components = client.graph.ListComponents(pb.ListComponentsRequest())
    yield Figure(FIRST_DAY, "components of two or more", components.total_count, "")


def _typical(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        with stopwatch() as one:
            call()
        times.append(one.seconds)
    return median(times) * 1000


def _hub(path: Path) -> str:
    callers = Counter(callee for _, callee in read_jaeger(path.read_bytes()).calls)
    return callers.most_common(1)[0][0]


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()
