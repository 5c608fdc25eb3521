"""No I/O: which pings without an answer make a worker hang."""

from datetime import timedelta

import pytest

from server.lifecycle.worker_process import STARTING, SUSPICIOUS_PINGS, TOLERATED_PINGS, Heartbeat

TIMEOUT = timedelta(seconds=5)


@pytest.fixture
def heartbeat() -> Heartbeat:
    """One of a worker that serves."""
    heartbeat = Heartbeat(TIMEOUT)
    heartbeat.serves = True
    return heartbeat


def silent_pings(heartbeat: Heartbeat, count: int) -> None:
    for _ in range(count):
        heartbeat.ping_is_over()


def answered_ping(heartbeat: Heartbeat) -> None:
    heartbeat.heard()
    heartbeat.ping_is_over()


def test_a_worker_hangs_when_it_left_pings_unanswered_for_the_timeout(heartbeat: Heartbeat) -> None:
    assert heartbeat.interval * TOLERATED_PINGS == heartbeat.patience == TIMEOUT
    silent_pings(heartbeat, TOLERATED_PINGS - 1)
    assert not heartbeat.is_hung
    silent_pings(heartbeat, 1)
    assert heartbeat.is_hung


def test_an_answer_resets_the_count_of_unanswered_pings(heartbeat: Heartbeat) -> None:
    for _ in range(3):
        silent_pings(heartbeat, TOLERATED_PINGS - 1)
        assert heartbeat.is_suspicious
        answered_ping(heartbeat)
        assert not heartbeat.is_suspicious
    assert not heartbeat.is_hung


def test_an_answer_counts_for_one_ping_only(heartbeat: Heartbeat) -> None:
    answered_ping(heartbeat)
    silent_pings(heartbeat, TOLERATED_PINGS)
    assert heartbeat.is_hung


def test_a_worker_is_suspicious_before_it_is_hung(heartbeat: Heartbeat) -> None:
    silent_pings(heartbeat, SUSPICIOUS_PINGS)
    assert (heartbeat.is_suspicious, heartbeat.is_hung) == (True, False)


def test_the_suspension_of_the_supervisor_counts_as_one_ping(heartbeat: Heartbeat) -> None:
    """However long it was suspended, one ping is over, and its answer is read afterwards."""
    silent_pings(heartbeat, SUSPICIOUS_PINGS - 1)
    answered_ping(heartbeat)
    heartbeat.ping_is_over()  # an hour later
    assert not heartbeat.is_suspicious
    answered_ping(heartbeat)
    assert heartbeat.unanswered == 0


def test_a_worker_that_does_not_serve_yet_gets_more_time() -> None:
    heartbeat = Heartbeat(TIMEOUT)
    silent_pings(heartbeat, STARTING // heartbeat.interval - 1)
    assert not heartbeat.is_hung
    silent_pings(heartbeat, 1)
    assert heartbeat.is_hung


def test_a_longer_timeout_also_holds_for_a_worker_that_does_not_serve_yet() -> None:
    assert Heartbeat(2 * STARTING).patience == 2 * STARTING
