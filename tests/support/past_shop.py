"""
A deployment in the sample topology, as if it were half an hour ago, with a mark before and after.

Marks and undo entries are written as they always are, and then moved into the past: which state a
mark stands for is said by its snapshot, not by its time.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

DEPLOYER = "deploy-bot@ci"
ADDED = {("payments", "fraud-v2"), ("fraud-v2", "checkout")}
REMOVED = {("payments", "fraud-scoring")}
CHANGED = {("checkout", "inventory")}
NEW_SERVICE = "fraud-v2"
_PAIR = """
source.id = dependency.source_service_id AND target.id = dependency.target_service_id
    AND source.service_id = $1 AND target.service_id = $2
"""
_LOGS = ("service_changes", "dependency_changes", "alias_changes")
_LAST = "SELECT at FROM depgraph_history.marks ORDER BY at DESC LIMIT 1"
BEFORE, AFTER = timedelta(minutes=40), timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The last mark before it, when it was, and the first mark after it."""

    before: datetime
    at: datetime
    after: datetime


async def deploy(connection: asyncpg.Connection, also: Collection[str] = ()) -> Deployment:
    """Mark, deploy, mark, and move all of it into the past; ``also`` are more new services."""
    await _mark(connection)
    await _move(connection, BEFORE)
    before = await connection.fetchval(_LAST)
    async with connection.transaction():
        await connection.execute("SELECT set_config('depgraph.principal', $1, true)", DEPLOYER)
        await _deployment(connection, also)
    await _mark(connection)
    await _move(connection, AFTER)
    after = await connection.fetchval(_LAST)
    at = await connection.fetchval(
        "SELECT max(at) FROM depgraph_history.dependency_changes WHERE principal = $1", DEPLOYER
    )
    return Deployment(before, at, after)


async def _deployment(connection: asyncpg.Connection, also: Collection[str]) -> None:
    await connection.executemany(
        "INSERT INTO services (service_id, team, criticality) VALUES ($1, 'payments', 'critical')",
        [(name,) for name in (NEW_SERVICE, *also)],
    )
    await connection.execute("UPDATE services SET team = 'commerce-eu' WHERE service_id = 'pricing'")
    await connection.executemany(
        "INSERT INTO service_dependencies"
        " (source_service_id, target_service_id, communication_mode, discovery_source)"
        " SELECT source.id, target.id, 'sync', 'manual' FROM services AS source, services AS target"
        " WHERE source.service_id = $1 AND target.service_id = $2",
        sorted(ADDED),
    )
    for pair in REMOVED:
        await connection.execute(
            "DELETE FROM service_dependencies AS dependency USING services AS source, services AS target"
            f" WHERE {_PAIR}",
            *pair,
        )
    for pair in CHANGED:
        await connection.execute(
            "UPDATE service_dependencies AS dependency SET timeout_ms = 800"
            f" FROM services AS source, services AS target WHERE {_PAIR}",
            *pair,
        )


async def _mark(connection: asyncpg.Connection) -> None:
    """Mark what is there; the first mark waits for transactions that are in progress."""
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT depgraph_history.mark()") == "waiting":
            await asyncio.sleep(0.01)


async def _move(connection: asyncpg.Connection, back: timedelta) -> None:
    """Move what is not in the past yet."""
    for table in ("marks", *_LOGS):
        await connection.execute(
            f"UPDATE depgraph_history.{table} SET at = at - $1::interval"
            " WHERE at > clock_timestamp() - interval '10 minutes'",
            back,
        )
