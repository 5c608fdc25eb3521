"""Alerts of a graph that is nearly one component: time to catch up, and the cost of a change."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import grpc

from bench.measuring import Figure, quantile_figure
from bench.stage import (
    CONNECT,
    DISCONNECT,
    LATEST_EVENT,
    PATIENCE_SECONDS,
    ServerProcess,
    Stage,
    connected,
    embedded_url,
    seconds_to_event,
    serving,
)
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from server.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from depgraph.v1.graph_service_pb2_grpc import GraphServiceAsyncStub

PER_SERVICE = 10
CAUGHT_UP_BAR_SECONDS = 60
CHANGES = 12
_AT_ONCE = 500_000
_QUICK = {"shared_buffers": "1GB", "max_wal_size": "8GB"}
_PROBE_SECONDS = 0.005
_SERVICES = """
INSERT INTO services (id, service_id)
SELECT md5('s' || number)::uuid, 's' || number FROM generate_series(0, $1::integer - 1) AS number
"""
_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT md5('s' || source)::uuid, md5('s' || target)::uuid, 'sync' FROM pairs
"""
_TRIGGERS = """
SELECT tgrelid::regclass::text, quote_ident(tgname),
    CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END
FROM pg_trigger
WHERE tgrelid IN ('services'::regclass, 'service_dependencies'::regclass) AND NOT tgisinternal
"""
_MEMBERS = "SELECT count(*) FROM circular_dependency_alert_members"
_LARGEST = "SELECT max(size) FROM circular_dependency_alerts"
_NEW = "INSERT INTO services (service_id) VALUES ('new'), ('one'), ('other')"


def measure(stage: Stage) -> Iterator[Figure]:
    """A server on such a graph: from serving to alerts caught up, then changes one by one."""
    folder = stage.folder / "giant"
    asyncio.run(fill(folder, stage.giant_services))
    with serving(folder) as server:
        yield from asyncio.run(_measured(server, embedded_url(folder), stage.giant_services))
    with serving(folder) as server:
        yield from asyncio.run(_caught_up_again(server, embedded_url(folder)))


async def fill(folder: Path, services: int, *, logged: bool = False) -> None:
    """Make the database of a server; unless ``logged``, without its change log."""
    with serving(folder):
        # It makes the tables.
        pass
    async with (
        EmbeddedPostgres(folder, durable=False, settings=_QUICK) as database,
        connected(database.url) as connection,
    ):
        # The ends of dependencies are there, and rows of the log would only have to be pruned.
        await connection.execute("SET session_replication_role = replica")
        triggers = [] if logged else await connection.fetch(_TRIGGERS)
        for table, name, _ in triggers:
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        await connection.execute("CREATE TEMPORARY TABLE pairs (source integer, target integer)")
        await connection.execute(_SERVICES, services, timeout=PATIENCE_SECONDS)
        pairs = list(_pairs(services))
        for first in range(0, len(pairs), _AT_ONCE):
            await connection.execute("TRUNCATE pairs")
            await connection.copy_records_to_table("pairs", records=pairs[first : first + _AT_ONCE])
            await connection.execute(_DEPENDENCIES, timeout=PATIENCE_SECONDS)
        for table, name, enabled in triggers:
            await connection.execute(f"ALTER TABLE {table} {enabled} TRIGGER {name}")
        await connection.execute("ANALYZE services, service_dependencies", timeout=PATIENCE_SECONDS)


def _pairs(services: int) -> Iterator[tuple[int, int]]:
    """Distinct edges, uniform sources, targets with hubs: ``random_edges`` with less memory."""
    chooser, seen = random.Random(1), set[int]()
    while len(seen) < PER_SERVICE * services:
        source, target = chooser.randrange(services), int(services * chooser.random() ** 2)
        key = source * services + target
        if source != target and key not in seen:
            seen.add(key)
            yield source, target


async def _measured(server: ServerProcess, url: str, services: int) -> list[Figure]:
    shape = f"{services:,} services, {PER_SERVICE * services:,} dependencies"
    began, used = time.perf_counter(), server.cpu_seconds()
    figures = [Figure(f"{shape}: start of the server", server.start_seconds, "s")]
    async with _probed(server.address) as (stub, waits), connected(url) as connection:
        await until_caught_up(stub)
        waited = time.perf_counter() - began
        figures += [
            Figure("serving to alerts caught up", waited, "s", at_most=CAUGHT_UP_BAR_SECONDS),
            Figure("  processor time", server.cpu_seconds() - used, "s"),
            Figure("  longest answer of GetStatus meanwhile", max(waits) * 1e3, "ms"),
            Figure("largest component", await connection.fetchval(_LARGEST), "services"),
            Figure("rows of members", await connection.fetchval(_MEMBERS), "rows"),
        ]
        figures += await _change_by_change(server, connection, stub, waits)
        await until_caught_up(stub)
        figures.append(Figure("resident, at most", server.memory_mib("VmHWM"), "MiB"))
    return figures


async def _change_by_change(
    server: ServerProcess,
    connection: asyncpg.Connection,
    stub: "GraphServiceAsyncStub",
    waits: list[float],
) -> list[Figure]:
    figures: list[Figure] = []
    await connection.execute(_NEW)
    await until_caught_up(stub)
    await connection.execute(CONNECT, "s0", "new")
    await connection.execute(CONNECT, "one", "other")
    await until_caught_up(stub)
    for what, source, target in (
        ("a service joins or leaves it", "new", "s0"),
        ("a cycle of two made or broken beside it", "other", "one"),
    ):
        waits.clear()
        figures += await _changes(server, connection, what, (source, target))
        figures.append(Figure("  longest answer of GetStatus", max(waits) * 1e3, "ms"))
    return figures


async def _changes(
    server: ServerProcess, connection: asyncpg.Connection, what: str, edge: tuple[str, str]
) -> list[Figure]:
    used = server.cpu_seconds()
    edits = [DISCONNECT if number % 2 else CONNECT for number in range(CHANGES)]
    taken = [await seconds_to_event(connection, connection.execute(edit, *edge), 0.001) for edit in edits]
    return [
        quantile_figure(f"{what}: commit to alert, p50", taken, 0.5),
        Figure("  the same, longest", max(taken) * 1e3, "ms", calls=len(taken)),
        Figure("  processor time a change", (server.cpu_seconds() - used) / CHANGES * 1e3, "ms"),
    ]


async def _caught_up_again(server: ServerProcess, url: str) -> list[Figure]:
    began, used = time.perf_counter(), server.cpu_seconds()
    async with _probed(server.address) as (stub, _), connected(url) as connection:
        before = await connection.fetchval(LATEST_EVENT)
        await until_caught_up(stub)
        waited = time.perf_counter() - began
        return [
            Figure("another process takes over: serving to alerts caught up", waited, "s"),
            Figure("  processor time", server.cpu_seconds() - used, "s"),
            Figure("  events written", await connection.fetchval(LATEST_EVENT) - before, "rows", at_most=0),
        ]


async def until_caught_up(stub: "GraphServiceAsyncStub") -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status = await stub.GetStatus(pb.GetStatusRequest())
            if status.detection.revision and status.detection.revision == status.freshness.revision:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def _probed(address: str) -> AsyncIterator[tuple["GraphServiceAsyncStub", list[float]]]:
    """Open a channel, and another one that measures the answer times of ``GetStatus`` meanwhile."""
    waits: list[float] = []

    async def probe(stub: "GraphServiceAsyncStub") -> None:
        while True:
            asked = time.perf_counter()
            await stub.GetStatus(pb.GetStatusRequest())
            waits.append(time.perf_counter() - asked)
            await asyncio.sleep(_PROBE_SECONDS)

    async with grpc.aio.insecure_channel(address) as channel:
        stub = GraphServiceStub(channel)
        probing = asyncio.create_task(probe(stub))
        try:
            yield stub, waits
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing
