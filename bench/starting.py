"""A start: reading the graph into memory, the memory that takes, and the first day of a user."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

from bench.graphs import big100k, jaeger_file, random_edges, seed5k
from bench.measuring import Figure, ratio, stopwatch, take_turns, take_turns_async, typical
from bench.stage import (
    ServerProcess,
    Stage,
    connected,
    embedded_url,
    fill,
    free_address,
    serving,
    write_dependencies,
    write_services,
)
from depgraph import Client
from depgraph.v1 import graph_service_pb2 as pb
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import SnapshotReader
from server.formats.jaeger import read_jaeger
from server.replica import Replica

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
        yield ratio("seed5k: warm / fetching the same rows", ours, theirs, at_most=BAR)
    with stage.server(big100k()) as (_, url):
        ours, theirs = asyncio.run(_turns(url, pairs=ROUNDS, warm_up=1))
        yield typical("big100k: fetching all rows and doing nothing", theirs, "s")
        yield Figure("big100k: warm", median(ours), "s", at_most=BAR * median(theirs), calls=ROUNDS)


async def _turns(url: str, pairs: int, warm_up: int) -> list[list[float]]:
    async with connected(url) as connection, FeedConnection.open(url, LIMIT) as feed:
        feed_id = (await feed.row(statements.OPEN))[0]

        async def read_anew(_: int) -> None:
            await SnapshotReader(feed, feed_id, Replica(LIMIT)).advance(whole=True)

        async def fetch(_: int) -> None:
            await connection.fetch(statements.SERVICES, timeout=600)
            await connection.fetch(statements.DEPENDENCIES, timeout=600)

        return await take_turns_async(read_anew, fetch, pairs=pairs, warm_up=warm_up)


def memory(stage: Stage) -> Iterator[Figure]:
    """Resident memory of a server, empty, with the services and with the dependencies."""
    edges = big100k()
    data_dir = stage.folder / "memory"
    with serving(data_dir):
        pass
    with serving(data_dir) as server:
        empty = server.memory_mib()
        asyncio.run(fill(embedded_url(data_dir), edges, write_services))
    with serving(data_dir) as server:
        services = server.memory_mib()
        asyncio.run(fill(embedded_url(data_dir), edges, write_dependencies))
    with serving(data_dir) as server:
        whole, seconds = server.memory_mib(), server.start_seconds
    yield Figure("server, empty", empty, "MiB")
    yield Figure("server with big100k, resident", whole, "MiB", at_most=MEMORY_BAR_MIB)
    yield Figure("a service", (services - empty) * 2**20 / edges.nodes, "bytes")
    yield Figure("a dependency", (whole - services) * 2**20 / len(edges.pairs), "bytes")
    yield Figure("start of a server with big100k", seconds, "s")


SIZES = ((1_000, 5_000), (10_000, 50_000), (100_000, 500_000), (100_000, 1_000_000), (300_000, 3_000_000))


def capacity(stage: Stage) -> Iterator[Figure]:
    """What a server and its embedded database need for graphs of several sizes."""
    for nodes, pairs in SIZES:
        data_dir = stage.folder / f"capacity-{nodes}-{pairs}"
        edges = random_edges("capacity", nodes, pairs)
        with serving(data_dir):
            url = embedded_url(data_dir)
            asyncio.run(fill(url, edges, write_services, write_dependencies))
            database = asyncio.run(_database_mib(url))
        with serving(data_dir) as server:
            of = f"{nodes:,} services, {pairs:,} dependencies: "
            yield Figure(f"{of}memory of the server", server.memory_mib(), "MiB")
            yield Figure(f"{of}the same, most during the start", server.memory_mib("VmHWM"), "MiB")
            yield Figure(f"{of}start", server.start_seconds, "s")
            yield Figure(f"{of}size of the database", database, "MiB")
        folder = sum(file.stat().st_blocks for file in data_dir.rglob("*") if not file.is_symlink()) / 2048
        yield Figure(f"{of}size of the data folder", folder, "MiB")
        shutil.rmtree(data_dir)


async def _database_mib(url: str) -> float:
    """Size of the tables and indexes of the graph, after a vacuum, without the change log."""
    tables = ("services", "service_dependencies")
    async with connected(url) as connection:
        await connection.execute("VACUUM", timeout=600)
        sizes = [await connection.fetchval(f"SELECT pg_total_relation_size('{table}')") for table in tables]
    return float(sum(sizes)) / 2**20


CALLS = 20


def first_day(stage: Stage) -> Iterator[Figure]:
    path, data_dir = jaeger_file(stage.given, stage.folder), stage.folder / "first-day"
    with serving(data_dir) as server:
        yield Figure("first start, database created", server.start_seconds, "s")
        yield Figure("memory of the server, empty", server.memory_mib(), "MiB")
        yield from _import(server, path)
    metrics = free_address()
    with serving(data_dir, "--metrics-listen", metrics) as server:
        yield Figure("start with that graph", server.start_seconds, "s")
        yield Figure("memory of the server after that start", server.memory_mib(), "MiB")
        with Client(server.address) as client:
            yield from _status(client)
            edges = read_jaeger(path.read_bytes()).report.edges
            callers = Counter(edge.target_service_id for edge in edges)
            [(hub, _)] = callers.most_common(1)
            yield from _answers(client, hub)
        show = [sys.executable, "-m", "server.cli", "show", hub, "--address", server.address]
        yield _run(f"depgraph show {hub}", show, at_most=1)
        # The image runs it every ten seconds: a tenth of a second would be a percent of a core.
        yield _run(
            "scripts/healthy.sh", ["bash", "scripts/healthy.sh"], DEPGRAPH_METRICS_LISTEN=metrics, at_most=0.1
        )


def _run(what: str, command: list[str], at_most: float, **environment: str) -> Figure:
    """The wall time of a command: never less than its processor time."""
    taken = []
    for _ in range(ROUNDS):
        with stopwatch() as whole:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | environment)
        taken.append(whole.seconds)
    return Figure(what, median(taken), "s", at_most=at_most, calls=ROUNDS)


def _import(server: ServerProcess, path: Path) -> Iterator[Figure]:
    with stopwatch() as parsing:
        read_jaeger(path.read_bytes())
    command = [sys.executable, "-m", "server.cli", "import", "jaeger", str(path)]
    with stopwatch() as whole:
        subprocess.run([*command, "--address", server.address], check=True, stdout=subprocess.DEVNULL)
    yield Figure(f"depgraph import jaeger {path.name}", whole.seconds, "s")
    yield Figure("  of which reading the file", parsing.seconds, "s")
    yield Figure("memory of the server after the import", server.memory_mib(), "MiB")


def _status(client: Client) -> Iterator[Figure]:
    status = client.graph.GetStatus(pb.GetStatusRequest())
    yield Figure("  services in memory", status.service_count, "")
    yield Figure("  dependencies in memory", status.dependency_count, "")
    warming = status.warm_duration.ToTimedelta().total_seconds()
    yield Figure("  of which reading the graph", warming, "s")


def _answers(client: Client, hub: str) -> Iterator[Figure]:
    ids = pb.TraverseRequest(
        service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1, view=pb.TRAVERSAL_VIEW_IDS
    )
    full = pb.StreamTraverseRequest(service_id=hub, direction=pb.DIRECTION_UPSTREAM, max_depth=1)
    near = pb.TraverseRequest(service_id=hub, direction=pb.DIRECTION_DOWNSTREAM, max_depth=3)
    found = len(client.graph.Traverse(ids).service_ids)
    yield Figure(f"services one hop upstream of {hub}", found, "")
    yield _timed("  Traverse, view IDS", lambda: client.graph.Traverse(ids))
    yield _timed("  StreamTraverse, view FULL", lambda: list(client.graph.StreamTraverse(full)))
    yield _timed(f"Traverse 3 hops downstream of {hub}", lambda: client.graph.Traverse(near))
    components = client.graph.ListComponents(pb.ListComponentsRequest())
    yield Figure("components of two or more", components.total_count, "")


def _timed(what: str, call: Callable[[], object]) -> Figure:
    [taken] = take_turns(lambda _: call(), pairs=CALLS, warm_up=0)
    return typical(what, taken, "ms")
