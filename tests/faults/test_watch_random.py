"""
Watchers are killed and return at random; from their streams alone they rebuild the exact tables.

``--soak-seconds 600`` for a long run with figures; ``--seed`` to roll the same dice again.
"""

import pytest

from tests.support.random_watch import RandomWatch, WatchRun
from tests.support.scene import Record

pytestmark = [pytest.mark.costly, pytest.mark.usefixtures("servers_without_numba")]

SHORT_SECONDS = 0.8
ROUND_SECONDS = 0.8


def has_seen_enough(run: WatchRun) -> bool:
    return (
        run.streams["resumed from the log"] > 10
        and run.streams["resumed with a reset"] > 0
        and run.streams["left by the server"] > 0
        and all(mirror.batches > 20 for mirror in run.mirrors)
    )


@pytest.mark.timeout(0)  # as long as the soak
async def test_reconnecting_watchers_rebuild_exactly_the_tables(
    database_url: str, seed: int, soak_seconds: float | None, effort: int, record: Record
) -> None:
    seconds = soak_seconds or SHORT_SECONDS * effort
    watch = RandomWatch(database_url, seed)
    run = await watch.play(seconds, round(seconds / ROUND_SECONDS), has_seen_enough)
    record({"random watch": run.figures(), "seed": seed})
    assert run.wrong == 0
    assert run.comparisons >= len(run.mirrors)
    assert has_seen_enough(run)
