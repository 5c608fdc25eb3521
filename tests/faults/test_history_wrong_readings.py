"""The harness can fail: it catches readings of history that look right and are wrong."""

import asyncpg
import pytest

from tests.support.history_copies import EXACT, WRONG_READINGS, Copy, Reading, as_of, differing, take_copy
from tests.support.scene import connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection


async def marked(connection: Connection) -> Copy:
    """Take a copy that there must be a mark for."""
    copy = await take_copy(connection)
    assert copy is not None
    return copy


async def writes_around_a_mark(url: str) -> Copy:
    """
    Change rows so that the mark between tells readings apart.

    One transaction writes before the mark and commits after it, another began before it and commits
    before it, a third changes a row twice after the mark, and the clock is set back in between.
    """
    async with connected(url) as connection, connected(url) as late, connected(url) as early:
        await connection.execute(
            "INSERT INTO services (service_id, team) SELECT 's' || n, '0' FROM generate_series(1, 3) AS n"
        )
        await marked(connection)
        await early.execute("BEGIN; SELECT pg_current_xact_id()")
        await late.execute("BEGIN; UPDATE services SET team = 'late' WHERE service_id = 's1'")
        await early.execute("UPDATE services SET team = 'early' WHERE service_id = 's2'; COMMIT")
        copy = await marked(connection)
        await late.execute("COMMIT")
        await connection.execute("UPDATE services SET team = 'once' WHERE service_id = 's3'")
        await connection.execute("UPDATE services SET team = 'twice' WHERE service_id = 's3'")
        await connection.execute(
            """UPDATE depgraph_history.service_changes SET at = at - interval '1 hour'
            WHERE seq = (SELECT max(seq) FROM depgraph_history.service_changes)"""
        )
        return copy


async def wrong_rows(url: str, copy: Copy, reading: Reading) -> list[str]:
    """Describe what a reading of the mark gets wrong."""
    async with connected(url) as connection:
        return differing(await as_of(connection, copy, reading), copy.rows)


async def test_the_first_entry_that_the_snapshot_of_a_mark_does_not_see_says_what_a_row_was(
    database_url: str,
) -> None:
    copy = await writes_around_a_mark(database_url)
    assert {row[0]: row[3] for row in copy.rows.services.values()} == {"s1": "0", "s2": "early", "s3": "0"}
    assert await wrong_rows(database_url, copy, EXACT) == []


@pytest.mark.parametrize("wrong", WRONG_READINGS)
async def test_a_wrong_reading_is_caught_by_writes_around_a_mark(database_url: str, wrong: str) -> None:
    copy = await writes_around_a_mark(database_url)
    assert await wrong_rows(database_url, copy, WRONG_READINGS[wrong]) != []
