"""Dependencies that were observed at a time, and what became of them in the database."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES, DependencyDraft
from tests.support.drafts import dependency

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Standing(NamedTuple):
    """What a sweep may change of a dependency."""

    is_stale: bool
    confidence: float
    reported: float | None


def seen(
    edge: str, ago: timedelta, source: str = "otel_service_graph", confidence: float = 1.0
) -> DependencyDraft:
    """Draft a dependency ``source>target`` that was observed so long before ``AT``."""
    (known,) = (known for known in DISCOVERY_SOURCES if known == source)
    return dependency(edge)._replace(
        discovery_source=known, last_observed_at=AT - ago, confidence_score=confidence
    )


def stale_after(age: timedelta, *sources: str) -> StalenessSettings:
    """Let what these sources discovered become stale at an age."""
    return StalenessSettings(stale_after={source: age for source in DISCOVERY_SOURCES if source in sources})


def half_life(time: timedelta | None, *sources: str) -> StalenessSettings:
    """Let confidence in what these sources discovered decay; None = no more."""
    return StalenessSettings(half_life={source: time for source in DISCOVERY_SOURCES if source in sources})


async def standings(connection: asyncpg.Connection) -> dict[str, Standing]:
    """What all dependencies are now, by ``source>target``; one discovery source a pair."""
    rows = await connection.fetch(
        """SELECT a.service_id || '>' || b.service_id, d.is_stale, d.confidence_score, d.reported_confidence
        FROM service_dependencies AS d
        JOIN services AS a ON a.id = d.source_service_id
        JOIN services AS b ON b.id = d.target_service_id"""
    )
    return {edge: Standing(*rest) for edge, *rest in rows}


async def versions(connection: asyncpg.Connection) -> dict[Any, str]:
    """Which transaction wrote each dependency last."""
    rows = await connection.fetch("SELECT id, xmin::text FROM service_dependencies")
    return {row["id"]: row["xmin"] for row in rows}
