"""The change feed: how soon a commit is seen."""

import asyncio
import random
import time
from collections.abc import Iterator

import asyncpg
import grpc

from bench.figures import Figure, quantile, stopwatch
from bench.graphs import big100k
from bench.stage import Stage
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency

FRESH = "fresh"
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


def fresh(stage: Stage) -> Iterator[Figure]:
    """Commit to visible, under writes, on a graph of a large company."""
    with stage.server(big100k()) as (server, url):
        yield from asyncio.run(_fresh(server.address, url))


async def _fresh(address: str, url: str) -> list[Figure]:
    connection = await asyncpg.connect(url)
    await connection.execute(PROBE)
    async with grpc.aio.insecure_channel(address) as channel:
        seen = Seen(channel)
        await seen.first()
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


async def _write_and_watch(connection: asyncpg.Connection, seen: "Seen") -> tuple[list[float], float]:
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


class Seen:
    """Looks at the probe from memory, again and again; ``looks`` are the seconds that a look took."""

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
