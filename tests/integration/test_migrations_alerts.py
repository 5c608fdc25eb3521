"""Alerts that were there before they had a history."""

import asyncpg

from server.store import migrate
from tests.support.plain_sql import connected

IMPORTED = """
INSERT INTO circular_dependency_alerts (cycle_path, status, acknowledged_by, resolution_notes, detected_at)
VALUES
    ('["a", "b"]', 'open', NULL, NULL, '2025-03-01 12:00:00+00'),
    ('["b", "c"]', 'acknowledged', 'ann', NULL, '2025-02-01 12:00:00+00'),
    ('["c", "d"]', 'resolved', NULL, 'cut', '2025-01-01 12:00:00+00'),
    ('["d", "e"]', 'resolved', 'ben', NULL, '2025-04-01 12:00:00+00')
"""
ALERTS = """
SELECT id, cycle_path, status, acknowledged_by, resolution_notes, detected_at
FROM circular_dependency_alerts ORDER BY id
"""


async def lines(connection: asyncpg.Connection, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await connection.fetch(statement)]


async def test_alerts_that_were_there_begin_their_history_when_they_were_detected(
    empty_database_url: str,
) -> None:
    await migrate.upgrade(empty_database_url, "0005")
    async with connected(empty_database_url) as connection:
        await connection.execute(IMPORTED)
        before = await lines(connection, ALERTS)

    await migrate.upgrade(empty_database_url)

    async with connected(empty_database_url) as connection:
        assert await lines(connection, ALERTS) == before
        assert await lines(
            connection, "SELECT DISTINCT size, detected, is_present FROM circular_dependency_alerts"
        ) == [(0, False, False)]
        assert await lines(
            connection,
            """SELECT e.kind, e.actor, e.note, e.status, e.cycle_path, e.size, e.event_at = a.detected_at
            FROM circular_dependency_alert_events AS e
            JOIN circular_dependency_alerts AS a ON a.id = e.alert_id
            ORDER BY e.id""",
        ) == [
            ("opened", None, "cut", "resolved", '["c", "d"]', 0, True),
            ("opened", None, "", "acknowledged", '["b", "c"]', 0, True),
            ("opened", None, "", "open", '["a", "b"]', 0, True),
            ("opened", None, "", "resolved", '["d", "e"]', 0, True),
        ]


async def test_alerts_stay_when_their_history_is_taken_back(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    async with connected(empty_database_url) as connection:
        await connection.execute(IMPORTED)
        before = await lines(connection, ALERTS)

    await migrate.downgrade(empty_database_url, "0005")

    async with connected(empty_database_url) as connection:
        assert await lines(connection, ALERTS) == before
        await connection.execute("UPDATE circular_dependency_alerts SET status = 'open'")
