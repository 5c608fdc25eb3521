"""How soon a worker that ended is started again."""

from datetime import timedelta

import pytest

from server.lifecycle.supervisor import HOPELESS, LONGEST_PAUSE_SECONDS, SOON, Restarts


def test_a_worker_that_served_for_long_is_restarted_at_once() -> None:
    assert Restarts().ended(served_for=SOON) == 0


@pytest.mark.parametrize("served_for", [None, timedelta(0), SOON / 2])
def test_pauses_double_up_to_a_bound_while_a_worker_ends_at_once(served_for: timedelta | None) -> None:
    restarts = Restarts()
    pauses = [restarts.ended(served_for) for _ in range(100)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_worker_is_hopeless_after_it_ended_at_once_several_times_in_a_row() -> None:
    restarts = Restarts()
    seen = []
    for _ in range(HOPELESS):
        seen.append(restarts.is_hopeless)
        restarts.ended(None)
    assert seen == [False] * HOPELESS
    assert restarts.is_hopeless
    restarts.ended(SOON)
    assert not restarts.is_hopeless
