"""A replica that follows a database, without a server around it, and what the tables hold, to compare."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from server.config import FeedSettings
from server.domain.consistency import FullyConsistent
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.feed import Feed
from server.feed.connection import FeedConnection
from server.replica import Replica

if TYPE_CHECKING:
    import asyncpg

# A long poll, so that what is seen in time was seen by notification.
SETTINGS = FeedSettings(poll_interval=timedelta(seconds=30), step_timeout=timedelta(seconds=5))
PATIENCE = timedelta(seconds=30)

Rows = tuple[dict[UUID, Service], dict[UUID, DependencyRow]]
Observer = Callable[[Replica, FeedConnection], Awaitable[None]]
Fetch = Callable[[str], "Awaitable[list[asyncpg.Record]]"]


@asynccontextmanager
async def following(
    url: str, settings: FeedSettings = SETTINGS, observe: Observer | None = None
) -> AsyncIterator[Replica]:
    """Run a feed into a replica, warm when the context begins."""
    async with feeding(url, settings, observe) as replica:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await replica.warmed()
        yield replica


@asynccontextmanager
async def feeding(
    url: str, settings: FeedSettings = SETTINGS, observe: Observer | None = None
) -> AsyncIterator[Replica]:
    """Run a feed into a replica, not waiting for it; ``observe`` is called inside the snapshot of every step."""
    replica = Replica(settings.longest_wait)

    async def inspect(connection: FeedConnection) -> None:
        if observe is not None:
            await observe(replica, connection)

    feed = Feed(url, replica, settings, inspect)
    replica.ask = feed.wake
    task = asyncio.create_task(feed.run())
    try:
        yield replica
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def memory(replica: Replica) -> Rows:
    """All rows that the replica holds, as they are now."""
    graph = replica.graph
    services = {
        row.id: row for row in (record.payload for record in graph.services()) if isinstance(row, Service)
    }
    records = [*graph.dependencies(), *graph.waiting_dependencies()]
    dependencies = {row.id: row for row in (r.payload for r in records) if isinstance(row, DependencyRow)}
    return services, dependencies


async def tables(connection: "asyncpg.Connection[asyncpg.Record]") -> Rows:
    """All rows that the database holds, as the connection's snapshot sees them."""
    return await fetched_tables(connection.fetch)


async def fetched_tables(fetch: Fetch) -> Rows:
    """All rows that the database holds, by whatever runs a query."""
    services = await fetch(
        """SELECT id, service_id, metadata::text, criticality, team, discovered, created_at, updated_at
        FROM public.services"""
    )
    dependencies = await fetch(
        """SELECT id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
            retry_config::text, discovery_source, confidence_score, last_observed_at, is_stale, created_at, updated_at
        FROM public.service_dependencies"""
    )
    return (
        {row["id"]: Service(*row) for row in services},
        {row["id"]: DependencyRow(*row) for row in dependencies},
    )


async def assert_level(replica: Replica, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until the replica has seen everything committed before this call; then memory and tables must be equal."""
    await replica.at(FullyConsistent(), PATIENCE)
    assert memory(replica) == await tables(connection)
