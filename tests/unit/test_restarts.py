"""How soon a worker that ended is started again."""

import pytest

from server.lifecycle.workforce import HOPELESS, LONGEST_PAUSE_SECONDS, SOON_SECONDS, Restarts


def test_after_a_long_life_a_worker_is_started_again_at_once() -> None:
    assert Restarts().ended(served_for=SOON_SECONDS) == 0


@pytest.mark.parametrize("served_for", [None, 0.0, SOON_SECONDS / 2])
def test_pauses_double_while_it_ends_at_once_up_to_a_bound(served_for: float | None) -> None:
    restarts = Restarts()
    pauses = [restarts.ended(served_for) for _ in range(100)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE_SECONDS


def test_it_is_hopeless_when_it_ended_at_once_too_often_in_a_row() -> None:
    restarts = Restarts()
    seen = []
    for _ in range(HOPELESS):
        seen.append(restarts.hopeless)
        restarts.ended(None)
    assert seen == [False] * HOPELESS
    assert restarts.hopeless
    restarts.ended(SOON_SECONDS)
    assert not restarts.hopeless
