"""
Many writers at random, and in every step memory must equal the tables.

``--soak-seconds 600`` for a long run with figures; ``--seed`` to roll the same dice again.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.support.large_steps import large_steps
from tests.support.random_run import RandomRun, random_run
from tests.support.scene import Record

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

SHORT_SECONDS = 1.0


def has_seen_enough(run: RandomRun) -> bool:
    return run.witness.comparisons > 20 and run.reads.count > 20 and run.pruned > 0 and run.aliased > 0


@pytest.mark.timeout(0)  # as long as the soak
@pytest.mark.parametrize("how", [nullcontext, large_steps])
async def test_memory_equals_the_tables_in_every_step_under_many_writers(
    *,
    how: Callable[[], AbstractContextManager[None]],
    database_url: str,
    seed: int,
    soak_seconds: float | None,
    effort: int,
    record: Record,
) -> None:
    with how():
        run = await random_run(database_url, seed, soak_seconds or SHORT_SECONDS * effort, has_seen_enough)
    record({"random run": run.figures(), "steps": how.__name__, "seed": seed})
    assert run.witness.mismatches == 0, run.witness.first_difference
    assert run.witness.broken_names == 0
    assert run.torn == 0
    assert run.reads.stale == 0
    assert run.wrong_at_the_end == 0
    assert has_seen_enough(run)
