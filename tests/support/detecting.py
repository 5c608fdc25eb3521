"""Replicas that keep the alerts of a database, without servers, and the alerts in the tables."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg

from server.concurrency import SharedComponentSearch
from server.config import DetectionSettings, FeedSettings
from server.domain.alerts import MOST_MEMBERS
from server.domain.live_graph import FullyConsistent
from server.lifecycle.detection import Detection
from server.replica import Replica
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.following import PATIENCE, SETTINGS, following

QUICK = DetectionSettings(
    reconcile_interval=timedelta(minutes=10), takeover_interval=timedelta(milliseconds=30)
)


@dataclass(frozen=True)
class Keeper:
    """A replica and its part in keeping the alerts."""

    replica: Replica
    detection: Detection

    @property
    def is_level(self) -> bool:
        """Whether it keeps the alerts, and they say what its graph says now."""
        revision = self.replica.freshness().revision
        return self.detection.is_writer and self.detection.status().revision == revision


@asynccontextmanager
async def detecting(
    url: str,
    settings: DetectionSettings = QUICK,
    feed: FeedSettings = SETTINGS,
    most_members: int = MOST_MEMBERS,
) -> AsyncIterator[Keeper]:
    """Run a replica that takes part in keeping the alerts, each with at most so many members."""
    async with following(url, feed, cycle_confidence=settings.min_confidence) as replica:
        detection = Detection(url, replica, settings, SharedComponentSearch(), most_members=most_members)
        running = asyncio.create_task(detection.run())
        try:
            yield Keeper(replica, detection)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def alerts_are_caught_up(keepers: Sequence[Keeper]) -> None:
    """Wait until the alerts are level with everything committed before this call."""
    for keeper in keepers:
        await keeper.replica.at(FullyConsistent(), PATIENCE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(keeper.is_level for keeper in keepers):
            await asyncio.sleep(0.002)


class StoredAlert(NamedTuple):
    """A row of the table, with its members."""

    id: UUID
    cycle_path: tuple[str, ...]
    status: str
    acknowledged_by: str | None
    resolution_notes: str | None
    size: int
    detected: bool
    is_present: bool
    members: tuple[str, ...]


class StoredEvent(NamedTuple):
    """A row of the history."""

    alert_id: UUID
    kind: str
    actor: str | None
    note: str
    status: str
    cycle_path: tuple[str, ...]
    size: int


async def stored_alerts(connection: asyncpg.Connection) -> list[StoredAlert]:
    """All alerts, oldest first."""
    rows = await connection.fetch(
        """SELECT id, cycle_path::text, status, acknowledged_by, resolution_notes, size, detected, is_present,
            ARRAY(
                SELECT service_id FROM circular_dependency_alert_members WHERE alert_id = id ORDER BY 1
            ) AS members
        FROM circular_dependency_alerts ORDER BY detected_at, id"""
    )
    return [
        StoredAlert(
            **(
                dict(row)
                | {"cycle_path": tuple(json.loads(row["cycle_path"])), "members": tuple(row["members"])}
            )
        )
        for row in rows
    ]


async def stored_events(connection: asyncpg.Connection, after: int = 0) -> list[StoredEvent]:
    """The history of all alerts in the order in which it was written."""
    rows = await connection.fetch(
        """SELECT alert_id, kind, actor, note, status, cycle_path::text, size
        FROM circular_dependency_alert_events WHERE id > $1 ORDER BY id""",
        after,
    )
    return [StoredEvent(**(dict(row) | {"cycle_path": tuple(json.loads(row["cycle_path"]))})) for row in rows]


async def add_services(connection: asyncpg.Connection, *names: str) -> None:
    """Add services."""
    await connection.execute("INSERT INTO services (service_id) SELECT unnest($1::text[])", list(names))


async def call(connection: asyncpg.Connection, *path: str) -> None:
    """Let each service of a path depend on the next."""
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT source.id, target.id, 'sync'
        FROM unnest($1::text[], $2::text[]) AS pair (source, target)
        INNER JOIN services AS source ON source.service_id = pair.source
        INNER JOIN services AS target ON target.service_id = pair.target""",
        path[:-1],
        path[1:],
    )


async def ring(connection: asyncpg.Connection, *names: str) -> None:
    """Let services call each other in a circle."""
    await call(connection, *names, names[0])


_PAIR = """source_service_id = (SELECT id FROM services WHERE service_id = $1)
    AND target_service_id = (SELECT id FROM services WHERE service_id = $2)"""


async def cut(connection: asyncpg.Connection, source: str, target: str) -> None:
    """Remove the dependencies of one service on another."""
    await connection.execute(f"DELETE FROM service_dependencies WHERE {_PAIR}", source, target)


async def alter(connection: asyncpg.Connection, source: str, target: str, assignment: str) -> None:
    """Change the dependencies of one service on another."""
    await connection.execute(f"UPDATE service_dependencies SET {assignment} WHERE {_PAIR}", source, target)
