"""A replica that follows a database, without a server, and the tables to compare it with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from depgraph.v1 import types_pb2
from depgraph.v1.graph_service_pb2 import TraverseResponse
from graphcore import AliasRecord, DependencyGraph, DependencyRecord, ServiceRecord
from server.config import FeedSettings
from server.domain.dependencies import (
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    DependencyRow,
)
from server.domain.live_graph import FullyConsistent
from server.domain.services import Service
from server.feed import Feed, Vitals
from server.feed.connection import FeedConnection
from server.replica import Replica
from tests.support import wire_rows

if TYPE_CHECKING:
    import asyncpg

# A long poll, so that what is seen in time was seen by notification.
SETTINGS = FeedSettings(poll_interval=timedelta(seconds=30), step_timeout=timedelta(seconds=5))
PATIENCE = timedelta(seconds=30)

Alias = tuple[str, UUID, datetime]
"""An alias, the row id of its service, and when it was created."""
Rows = tuple[dict[UUID, types_pb2.Service], dict[UUID, types_pb2.Dependency], dict[UUID, Alias]]
Observer = Callable[[Replica, FeedConnection], Awaitable[None]]
Fetch = Callable[[str], "Awaitable[list[asyncpg.Record]]"]


@asynccontextmanager
async def following(
    url: str,
    settings: FeedSettings = SETTINGS,
    observe: Observer | None = None,
    *,
    cycle_confidence: float = 0.0,
    vitals: Vitals | None = None,
) -> AsyncIterator[Replica]:
    """Run a feed into a replica, warm when the context begins."""
    async with feeding(url, settings, observe, cycle_confidence=cycle_confidence, vitals=vitals) as replica:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await replica.warmed()
        yield replica


@asynccontextmanager
async def feeding(
    url: str,
    settings: FeedSettings = SETTINGS,
    observe: Observer | None = None,
    *,
    cycle_confidence: float = 0.0,
    vitals: Vitals | None = None,
) -> AsyncIterator[Replica]:
    """Run a feed into a replica; ``observe`` runs inside the snapshot of each step."""
    replica = Replica(settings.longest_wait, cycle_confidence=cycle_confidence)

    class ObservedFeed(Feed):
        async def _run_tasks(self, connection: FeedConnection) -> None:
            if observe is not None:
                await observe(replica, connection)
            await super()._run_tasks(connection)

    feed = ObservedFeed(url, replica, settings, vitals or Vitals(settings))
    replica.ask = feed.wake
    task = asyncio.create_task(feed.run())
    try:
        yield replica
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def memory(replica: Replica) -> Rows:
    """All rows of the replica as they are now."""
    return rows_of(replica.graph)


def rows_of(graph: DependencyGraph) -> Rows:
    """All rows of a graph; dangling dependencies have no names of ends."""
    dependencies = [*graph.dependencies(), *graph.dangling_dependencies()]
    return (
        {_key(record): service_of(record) for record in graph.services()},
        {_key(record): dependency_of(record) for record in dependencies},
        {_key(record): _alias_of(record) for record in graph.aliases()},
    )


def broken_names(rows: Rows) -> int:
    """Count the aliases that are names of services, or whose services are missing."""
    services, _, aliases = rows
    names = {service.service_id for service in services.values()}
    return sum(alias in names or service not in services for alias, service, _ in aliases.values())


def service_of(record: ServiceRecord) -> types_pb2.Service:
    """Read what stands for a service in answers; encoded id and name must be its own."""
    [service] = _read(record.payload).services
    assert list(_read(record.encoded_id).service_ids) == [service.service_id] == [record.name]
    return service


def dependency_of(record: DependencyRecord) -> types_pb2.Dependency:
    """Read what stands for a dependency in answers."""
    [dependency] = _read(record.payload).dependencies
    return dependency


async def tables(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    """All rows that the database holds, as the connection's snapshot sees them."""
    return await fetched_tables(connection.fetch)


async def fetched_tables(fetch: Fetch) -> Rows:
    """All rows of the database, from any function that runs a query, as generated messages."""
    services = [
        Service(*row)
        for row in await fetch(
            """SELECT id, service_id, metadata::text, criticality, team, discovered,
                created_at, updated_at, kind
            FROM public.services"""
        )
    ]
    dependencies = await fetch(
        """SELECT id, source_service_id, target_service_id, communication_mode, criticality, protocol,
            timeout_ms,
            retry_config::text, discovery_source, confidence_score, last_observed_at, is_stale,
            created_at, updated_at
        FROM public.service_dependencies"""
    )
    aliases = await fetch("SELECT id, alias, service_id, created_at FROM public.service_aliases")
    names = {row.id: row.service_id for row in services}
    return (
        {row.id: service_message(row) for row in services},
        {row["id"]: _joined(DependencyRow(*row), names) for row in dependencies},
        {row["id"]: (row["alias"], row["service_id"], row["created_at"]) for row in aliases},
    )


def _joined(row: DependencyRow, names: dict[UUID, str]) -> types_pb2.Dependency:
    if joins(row, names):
        return dependency_message(row, names[row.source], names[row.target])
    return dependency_message(row, "", "")


def joins(row: DependencyRow, services: Container[UUID]) -> bool:
    """Whether a row can be an edge: it has two different ends, and all its words are known."""
    return (
        row.source in services
        and row.target in services
        and row.source != row.target
        and row.communication_mode in COMMUNICATION_MODES
        and row.criticality in DEPENDENCY_CRITICALITIES
        and row.discovery_source in DISCOVERY_SOURCES
    )


# The same rows are looked at again and again.
service_message = lru_cache(50_000)(wire_rows.service_message)
dependency_message = lru_cache(50_000)(wire_rows.dependency_message)


@lru_cache(50_000)
def _read(record: object) -> TraverseResponse:
    assert isinstance(record, bytes)
    return TraverseResponse.FromString(record)


def _alias_of(record: AliasRecord) -> Alias:
    assert isinstance(record.service, bytes)
    assert isinstance(record.payload, datetime)
    return record.name, UUID(bytes=record.service), record.payload


def _key(record: ServiceRecord | DependencyRecord | AliasRecord) -> UUID:
    assert isinstance(record.key, bytes)
    return UUID(bytes=record.key)


async def assert_caught_up(replica: Replica, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until the replica has seen everything committed by now; memory must equal the tables."""
    await replica.at(FullyConsistent(), PATIENCE)
    assert memory(replica) == await tables(connection)


async def log_is_free(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """
    Wait until no replica keeps the log from being pruned.

    A replica that read everything does so until it has followed on from there.
    """
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND (classid, objid) = (7203411, 4)"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ):
            await asyncio.sleep(0.01)
