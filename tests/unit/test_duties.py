"""When a process that waits for the lock reports that no process does the work."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from server.store.single_runner import DutyWatch

TOLERANCE = timedelta(seconds=60)
HOLDER = {
    "pid": 7,
    "application_name": "psql",
    "address": "10.0.0.1",
    "backend_start": datetime(2026, 1, 1, 12, tzinfo=UTC),
}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Lock:
    """A database whose lock is held or free."""

    def __init__(self, holder: dict[str, Any] | None) -> None:
        self.holder = holder

    async def fetchrow(self, _query: str, _key: int) -> dict[str, Any] | None:
        return self.holder


def look(watch: DutyWatch, undone_for: float | None, holder: dict[str, Any] | None = HOLDER) -> list[str]:
    age = None if undone_for is None else timedelta(seconds=undone_for)
    asyncio.run(watch.look(Lock(holder), 2, age))
    return list(watch.problems())


def test_a_duty_that_is_done_regularly_is_no_problem_however_long_a_process_waits() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    for _ in range(100):
        assert look(watch, undone_for=5) == []
        clock.now += 10


def test_a_duty_not_done_for_longer_than_tolerated_is_a_problem() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    assert look(watch, undone_for=3_000) == []
    clock.now += 61
    [problem] = look(watch, undone_for=3_061)
    assert "nothing was done for 3,061 s" in problem
    assert "session 7 of 'psql' at 10.0.0.1, since 2026-01-01 12:00:00 UTC" in problem
    assert look(watch, undone_for=1) == []


def test_a_lock_holder_with_hidden_details_is_named_by_its_process_id() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    unknown = {"pid": 7, "application_name": None, "address": None, "backend_start": None}
    look(watch, undone_for=3_000, holder=unknown)
    clock.now += 61
    [problem] = look(watch, undone_for=3_061, holder=unknown)
    assert "(session 7)" in problem


def test_a_replica_of_an_earlier_version_is_not_reported_for_writing_no_time() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    older = HOLDER | {"application_name": "depgraph detection"}
    look(watch, undone_for=None, holder=older)
    clock.now += 600
    assert look(watch, undone_for=None, holder=older) == []


def test_a_duty_that_was_never_done_is_a_problem_after_this_process_waited() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    look(watch, undone_for=None)
    clock.now += 59
    assert look(watch, undone_for=None, holder=None) == []
    clock.now += 2
    assert look(watch, undone_for=None, holder=None) == ["nothing was done for 61 s: no session has the lock"]
    watch.stop_waiting()
    assert list(watch.problems()) == []


def test_a_process_that_can_not_take_the_lock_says_why() -> None:
    clock = Clock()
    watch = DutyWatch("nothing was done", TOLERANCE, clock)
    watch.could_not_ask("the database refuses the password")
    assert list(watch.problems()) == []
    clock.now += 61
    watch.could_not_ask("the database refuses the password")
    assert list(watch.problems()) == [
        "nothing was done by this process for 61 s: the database refuses the password"
    ]
    watch.asked()
    assert list(watch.problems()) == []
