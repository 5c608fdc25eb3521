"""What the feed calls a problem, and when."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from server.config import FeedSettings
from server.domain.live_graph import MemoryAudit
from server.feed import Vitals

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vitals(clock: Clock) -> Vitals:
    return Vitals(FeedSettings(prune_interval=timedelta(minutes=5)), clock)


def problems(vitals: Vitals) -> tuple[str, ...]:
    return vitals.health().problems


def test_a_feed_that_has_not_begun_has_no_problems(vitals: Vitals) -> None:
    assert problems(vitals) == ()
    assert vitals.health().trusted
    assert vitals.health().last_audit is None


def test_only_a_long_absence_of_the_database_is_a_problem(vitals: Vitals, clock: Clock) -> None:
    vitals.stepped(0)
    vitals.disconnected(ConnectionRefusedError("to secret@host"))
    clock.now += 9
    vitals.disconnected(ConnectionResetError("to secret@host"))
    assert problems(vitals) == ()
    clock.now += 2
    [problem] = problems(vitals)
    assert "away for 11 s, and answers are as old: the database can't be reached" in problem
    assert "secret" not in problem
    vitals.stepped(0)
    assert problems(vitals) == ()
    assert vitals.disconnects == 2


def test_a_lasting_cause_is_a_problem_at_once_with_advice(vitals: Vitals, clock: Clock) -> None:
    vitals.stepped(0)
    vitals.disconnected(asyncpg.UndefinedFunctionError("depgraph_feed.open()"))
    clock.now += 5
    [problem] = problems(vitals)
    assert problem == (
        "the schema is missing or is not the one this program knows: run 'depgraph migrate up'; "
        "answers have been getting old for 5 s"
    )


def test_why_a_server_waits_before_its_feed_begins_is_a_problem_until_it_waits_no_more(
    vitals: Vitals, clock: Clock
) -> None:
    vitals.waiting(asyncpg.InvalidPasswordError("for user secret"))
    assert "the database refuses the password" in vitals.away_because()
    vitals.waiting(ConnectionRefusedError())
    assert vitals.away_because() == ""
    clock.now += 11
    assert vitals.away_because() == (
        "the database has been away for 11 s: the database can't be reached: nothing listens at its address"
    )
    vitals.waiting(None)
    assert problems(vitals) == ()
    assert vitals.disconnects == 0


def test_a_standby_is_named_at_once(vitals: Vitals) -> None:
    vitals.disconnected(asyncpg.ObjectNotInPrerequisiteStateError("a standby"))
    [problem] = problems(vitals)
    assert "standby" in problem
    assert "primary" in problem


def test_missing_triggers_are_listed_and_memory_is_not_trusted(vitals: Vitals) -> None:
    vitals.saw_faults(("services.depgraph_feed_insert",))
    [problem] = problems(vitals)
    assert "services.depgraph_feed_insert" in problem
    assert not vitals.health().trusted
    vitals.saw_faults(())
    assert problems(vitals) == ()
    assert vitals.health().trusted


async def test_a_waiter_wakes_when_trust_changes_and_not_when_only_the_list_does(vitals: Vitals) -> None:
    vitals.saw_faults(("a",))
    await vitals.trust_changed()
    vitals.saw_faults(("a", "b"))
    vitals.saw_faults(())
    await vitals.trust_changed()
    assert vitals.trusted


def test_rows_that_differed_are_a_problem_until_an_audit_finds_none(vitals: Vitals) -> None:
    vitals.audited(MemoryAudit(NOON, timedelta(seconds=2), 7), ("service x is missing in memory",))
    [problem] = problems(vitals)
    assert "2026-01-01 12:00:00 UTC found 7 rows" in problem
    assert "service x is missing in memory" in problem
    vitals.audited(MemoryAudit(NOON, timedelta(seconds=2), 0), ())
    assert problems(vitals) == ()
    assert (vitals.audits, vitals.differing_rows) == (2, 7)


def test_a_log_not_pruned_for_ten_intervals_is_a_problem(vitals: Vitals, clock: Clock) -> None:
    vitals.pruning()
    clock.now += 49 * 60
    assert problems(vitals) == ()
    clock.now += 60
    assert ["not been pruned for 3,000 s" in problem for problem in problems(vitals)] == [True]
    vitals.pruned(12, 34, timedelta(0))
    assert problems(vitals) == ()
    assert (vitals.pruned_rows, vitals.health().change_log_rows) == (12, 34)
