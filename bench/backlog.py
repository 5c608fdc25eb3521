"""A database filled by SQL, whose change log is longer than its bound: how soon a server has settled, and how fresh it is then."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

from bench.feed import PROBE, SET_TEAM, Seen
from bench.figures import Figure, quantile
from bench.giant import LEVEL_BAR_SECONDS, PER_SERVICE, fill, is_level, peak_mib, until
from bench.server_process import ServerProcess, serving
from bench.stage import Stage, connected, embedded_url
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub

if TYPE_CHECKING:
    from depgraph.v1.graph_service_pb2_grpc import GraphServiceAsyncStub

PART = "backlog"
MAX_LOG_ROWS = 2_000_000
# So that several prunings fall into the time that is watched.
WATCHED_SECONDS, PAUSE_SECONDS = 100, 0.05
LOG_ROWS = "SELECT count(*) FROM depgraph_feed.change_log"


def measure(stage: Stage) -> Iterator[Figure]:
    """A server that finds such a log: its start, its first write, and how soon writes are seen while the log is pruned."""
    folder = stage.folder / PART
    with serving(folder):
        # It makes the tables.
        pass
    asyncio.run(fill(folder, stage.giant_services, logged=True))
    rows = stage.giant_services * (PER_SERVICE + 1)
    with serving(folder, "--max-log-rows", str(min(MAX_LOG_ROWS, rows // 3))) as server:
        yield from asyncio.run(_measured(server, embedded_url(folder), stage.giant_services))


async def _measured(server: ServerProcess, url: str, services: int) -> list[Figure]:
    began = time.perf_counter()
    async with connected(url) as connection, grpc.aio.insecure_channel(server.address) as channel:
        shape = f"{services:,} services, {PER_SERVICE * services:,} dependencies"
        logged = await connection.fetchval(LOG_ROWS)
        stub, seen = GraphServiceStub(channel), Seen(channel)
        level = asyncio.create_task(_level_after(stub, began))
        committed = time.perf_counter()
        await connection.execute(PROBE)
        await seen.first()
        first = time.perf_counter() - committed
        waits: list[float] = []
        for number in itertools.count(1):
            if time.perf_counter() - began > WATCHED_SECONDS:
                break
            looking = asyncio.create_task(seen.when(str(number)))
            await connection.execute(SET_TEAM, "probe", str(number))
            committed = time.perf_counter()
            waits.append(max(0.0, await looking - committed))
            await asyncio.sleep(PAUSE_SECONDS)
        warms = (await stub.GetStatus(pb.GetStatusRequest())).warm_count
        return [
            Figure(PART, f"{shape}: rows of the log at the start", logged, "rows"),
            Figure(PART, "start of the server", server.start_seconds, "s"),
            Figure(PART, "first write: commit to visible", first * 1e3, "ms"),
            Figure(PART, "commit to visible, p50", quantile(waits, 0.5) * 1e3, "ms", calls=len(waits)),
            Figure(PART, "the same, p99", quantile(waits, 0.99) * 1e3, "ms", at_most=25, calls=len(waits)),
            Figure(PART, "the same, longest", max(waits) * 1e3, "ms"),
            Figure(PART, "times that everything was read", warms, "", at_most=1),
            Figure(PART, "serving to alerts level", await level, "s", at_most=LEVEL_BAR_SECONDS),
            Figure(
                PART,
                f"rows of the log after {WATCHED_SECONDS} s",
                await connection.fetchval(LOG_ROWS),
                "rows",
            ),
            Figure(PART, "resident, at most", peak_mib(server.pid), "MiB"),
        ]


async def _level_after(stub: "GraphServiceAsyncStub", began: float) -> float:
    await until(lambda: is_level(stub))
    return time.perf_counter() - began
