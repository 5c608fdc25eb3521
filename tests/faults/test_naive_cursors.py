"""
The harness can fail: it catches cursors that lose changes.

Feed, replica and writers are the same as in the other tests.
"""

import asyncpg
import pytest

from server.domain.live_graph import FullyConsistent
from tests.support.following import PATIENCE, following
from tests.support.naive_cursor import NAIVE_CURSORS, install
from tests.support.random_run import random_run
from tests.support.witness import Witness

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


async def late_commit(url: str) -> Witness:
    """Let a transaction write first and commit last, with a step and another commit between."""
    early, late = await asyncpg.connect(url), await asyncpg.connect(url)
    await early.execute("INSERT INTO services (service_id) VALUES ('first'), ('second')")
    witness = Witness()
    async with following(url, observe=witness) as replica:
        await late.execute("BEGIN; UPDATE services SET team = 'late' WHERE service_id = 'first'")
        await early.execute("UPDATE services SET team = 'early' WHERE service_id = 'second'")
        await replica.at(FullyConsistent(), PATIENCE)
        await late.execute("COMMIT")
        await replica.at(FullyConsistent(), PATIENCE)
        await witness.done()
    await early.close()
    await late.close()
    return witness


async def test_a_transaction_that_commits_late_is_not_lost(database_url: str) -> None:
    witness = await late_commit(database_url)
    assert witness.comparisons >= 2
    assert witness.mismatches == 0


@pytest.mark.parametrize("cursor", NAIVE_CURSORS)
async def test_a_naive_cursor_is_caught_losing_a_transaction_that_commits_late(
    database_url: str, cursor: str
) -> None:
    await install(database_url, cursor)
    witness = await late_commit(database_url)
    assert witness.mismatches > 0
    assert "late" in witness.first_difference


@pytest.mark.parametrize("cursor", NAIVE_CURSORS)
async def test_a_naive_cursor_is_caught_by_the_random_writers(
    database_url: str, cursor: str, seed: int
) -> None:
    await install(database_url, cursor)
    run = await random_run(database_url, seed, 0, lambda run: run.witness.mismatches > 0)
    assert run.witness.mismatches > 0, str(run)
