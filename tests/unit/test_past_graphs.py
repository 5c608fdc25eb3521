"""No I/O: past graphs are shared while they are built, kept for some time, and bounded."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from server.domain.changes import FeedPosition
from server.domain.errors import (
    DatabaseUnavailableError,
    HistoryUnavailableError,
    ReplicaBehindError,
)
from server.domain.history import FormerRows, Mark, Point
from server.domain.live_graph import AsOf, Reading
from server.domain.revision import Revision
from server.replica import KeptPasts, Replica
from server.replica.past import MOST_KEPT
from tests.support.eventually import eventually
from tests.support.following import memory
from tests.support.watched_rows import FEED, as_batches, changes, dependency, position, reload, service, step

PATIENCE = timedelta(seconds=30)
A_MOMENT = timedelta(milliseconds=20)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return BEGIN + timedelta(minutes=count)


class Marks:
    """
    A mark each minute, at which a service was named for its number; entries come when let go.

    The last of ``count`` has no next one.
    """

    def __init__(self, count: int) -> None:
        times = [minutes(number) for number in range(count + 1)]
        self.marks = [
            Mark(at, 1, position(number).snapshot, FEED, next_at, is_exact=True)
            for number, (at, next_at) in enumerate(pairwise(times))
        ]
        self.marks[-1] = Mark(times[count - 1], 1, position(count - 1).snapshot, FEED, None, is_exact=True)
        self.asked = 0
        self.reading: list[int] = []
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.error: Exception | None = None
        self.unmarked = False
        self.name = ""

    async def mark_at(self, point: Point) -> Mark | None:
        self.asked += 1
        if isinstance(point, Revision):
            return None if self.unmarked else self.marks[-1]
        found = [mark for mark in self.marks if mark.at <= point]
        if not found:
            raise HistoryUnavailableError("too old")
        return found[-1]

    async def rows_at(self, mark: Mark, since: FeedPosition) -> AsyncGenerator[FormerRows, None]:
        assert since.feed_id
        number = self.marks.index(mark)
        self.reading.append(number)
        try:
            await self.may_read.wait()
            if self.error is not None:
                raise self.error
            yield changes(service(1, self.name or f"then-{number}"), gone=(3,))
        finally:
            self.reading.remove(number)


async def pasts(reader: Marks) -> KeptPasts:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1, "now"), service(2), service(3), dependency(12, 1, 2))
    replica.past = KeptPasts(replica, reader)
    return replica.past


def names(reading: Reading) -> set[str]:
    return {each.name for each in reading.graph.services()}


@pytest.fixture
def reader() -> Marks:
    return Marks(6)


async def test_a_past_graph_is_the_live_one_with_former_rows(reader: Marks) -> None:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1, "now"), service(2), service(3), dependency(12, 1, 2))
    replica.past = KeptPasts(replica, reader)
    before = memory(replica)
    reading = await replica.at(AsOf(minutes(0.5)), PATIENCE)
    assert names(reading) == {"then-0", "s2"}
    # The name of a service stands in the records of its dependencies.
    [edge] = reading.graph.dependencies()
    assert isinstance(edge.payload, bytes)
    assert b"then-0" in edge.payload
    assert memory(replica) == before
    freshness = reading.freshness
    assert (freshness.as_of_time, freshness.approximate) == (minutes(0), False)
    assert Revision.parse(freshness.revision) == reader.marks[0].revision


async def test_a_kept_graph_answers_up_to_the_next_mark_without_the_database(reader: Marks) -> None:
    kept = await pasts(reader)
    first = await kept.at(minutes(1), PATIENCE)
    assert reader.asked == 1
    just_before = minutes(2) - timedelta(microseconds=1)
    assert await kept.at(just_before, PATIENCE) is first
    assert await kept.at(minutes(1.5), PATIENCE) is first
    assert reader.asked == 1
    assert names(await kept.at(minutes(2), PATIENCE)) >= {"then-2"}
    assert names(await kept.at(minutes(0.9), PATIENCE)) >= {"then-0"}


async def test_the_last_mark_may_get_a_next_one_so_the_database_is_asked_each_time(reader: Marks) -> None:
    kept = await pasts(reader)
    first = await kept.at(minutes(100), PATIENCE)
    assert await kept.at(minutes(100), PATIENCE) is first
    assert reader.asked == 2


async def test_callers_of_one_state_share_its_build(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.may_read.clear()
    callers = [asyncio.create_task(kept.at(minutes(1 + n / 10), PATIENCE)) for n in range(5)]
    await eventually(lambda: reader.reading == [1])
    reader.may_read.set()
    first, *others = await asyncio.gather(*callers)
    assert all(each is first for each in others)


async def test_one_graph_is_built_at_a_time(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.may_read.clear()
    callers = [asyncio.create_task(kept.at(minutes(number), PATIENCE)) for number in (1, 2)]
    await eventually(lambda: bool(reader.reading) and reader.asked == 2)
    for _ in range(100):
        await asyncio.sleep(0)
        assert reader.reading == [1]
    reader.may_read.set()
    assert [names(each) >= {f"then-{n}"} for n, each in enumerate(await asyncio.gather(*callers), 1)]


async def test_a_build_goes_on_for_those_who_still_wait(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.may_read.clear()
    leaving, staying = (asyncio.create_task(kept.at(minutes(1), PATIENCE)) for _ in range(2))
    await eventually(lambda: reader.reading == [1])
    leaving.cancel()
    await asyncio.wait([leaving])
    reader.may_read.set()
    assert names(await staying) >= {"then-1"}


async def test_a_build_that_nobody_waits_for_is_dropped_and_can_be_had_anew(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.may_read.clear()
    leaving = asyncio.create_task(kept.at(minutes(1), PATIENCE))
    await eventually(lambda: reader.reading == [1])
    leaving.cancel()
    # The next caller comes before the build has ended.
    again = asyncio.create_task(kept.at(minutes(1), PATIENCE))
    await eventually(lambda: reader.reading == [1] and reader.asked == 2)
    reader.may_read.set()
    assert names(await again) >= {"then-1"}
    other = asyncio.create_task(kept.at(minutes(2), PATIENCE))
    reader.may_read.clear()
    await eventually(lambda: reader.reading == [2])
    other.cancel()
    await eventually(lambda: not reader.reading)


async def test_the_time_of_a_call_holds_while_it_waits(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.may_read.clear()
    with pytest.raises(ReplicaBehindError, match=r"within 0\.020 s"):
        await kept.at(minutes(1), A_MOMENT)
    await eventually(lambda: not reader.reading)
    reader.may_read.set()
    assert names(await kept.at(minutes(1), PATIENCE)) >= {"then-1"}


async def test_an_error_reaches_every_caller_and_nothing_is_kept(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.error = DatabaseUnavailableError("away")
    asked = await asyncio.gather(*(kept.at(minutes(1), PATIENCE) for _ in range(3)), return_exceptions=True)
    assert list(map(type, asked)) == [DatabaseUnavailableError] * 3
    reader.error = None
    assert names(await kept.at(minutes(1), PATIENCE)) >= {"then-1"}


async def test_former_rows_that_do_not_fit_together_are_no_graph(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.name = "s2"
    with pytest.raises(HistoryUnavailableError, match="two services would be called 's2'"):
        await kept.at(minutes(1), PATIENCE)


async def test_the_graph_asked_for_least_recently_goes(reader: Marks) -> None:
    kept = await pasts(reader)
    readings = [await kept.at(minutes(number), PATIENCE) for number in range(MOST_KEPT)]
    assert await kept.at(minutes(0), PATIENCE) is readings[0]
    await kept.at(minutes(MOST_KEPT), PATIENCE)
    assert await kept.at(minutes(0), PATIENCE) is readings[0]
    with pytest.raises(ReplicaBehindError), readings[1].keeps():
        pass
    assert await kept.at(minutes(1), PATIENCE) is not readings[1]


async def test_graphs_that_are_read_stay_and_another_waits_for_its_place(reader: Marks) -> None:
    kept = await pasts(reader)
    with ExitStack() as reading:
        readings = [await kept.at(minutes(number), PATIENCE) for number in range(MOST_KEPT)]
        for each in readings[1:]:
            reading.enter_context(each.keeps())
        with readings[0].keeps():
            with pytest.raises(ReplicaBehindError):
                await kept.at(minutes(4), A_MOMENT)
            waiting = asyncio.create_task(kept.at(minutes(4), PATIENCE))
            await eventually(lambda: reader.asked == MOST_KEPT + 2)
            for number, each in enumerate(readings):
                assert names(each) >= {f"then-{number}"}
            assert not waiting.done()
        assert names(await waiting) >= {"then-4"}
        for number, each in enumerate(readings[1:], 1):
            assert names(each) >= {f"then-{number}"}


async def test_a_write_waits_for_its_mark(reader: Marks) -> None:
    kept = await pasts(reader)
    reader.unmarked = True
    waiting = asyncio.create_task(kept.at(Revision(FEED, xid=7), PATIENCE))
    await eventually(lambda: reader.asked == 1)
    reader.unmarked = False
    assert names(await waiting) >= {"then-5"}


async def test_a_mark_that_the_live_graph_has_not_reached_waits_for_it(reader: Marks) -> None:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1, "now"), service(2), service(3))
    asked: list[None] = []
    replica.ask = lambda: asked.append(None)
    kept = KeptPasts(replica, reader)
    ahead = position(12).snapshot
    reader.marks[1] = replace(reader.marks[1], snapshot=ahead)
    waiting = asyncio.create_task(kept.at(minutes(1), PATIENCE))
    await eventually(lambda: bool(asked))
    assert not reader.reading
    await step(replica, changes(service(4)))
    assert not waiting.done()
    await step(replica, changes(service(5)))
    assert names(await waiting) == {"then-1", "s2", "s4", "s5"}


async def test_another_run_of_the_database_gets_graphs_of_its_own(reader: Marks) -> None:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1, "now"))
    kept = KeptPasts(replica, reader)
    first = await kept.at(minutes(1), PATIENCE)
    restarted = FEED.replace("0003", "0004")
    replica.snapshot_begins()
    await replica.apply(as_batches(changes()), position(50, restarted))
    assert await kept.at(minutes(1), PATIENCE) is not first


async def test_the_live_graph_moves_on_while_a_past_one_is_read_from_the_database(reader: Marks) -> None:
    replica = Replica(timedelta(seconds=1))
    await reload(replica, service(1, "now"), service(2), service(3))
    kept = KeptPasts(replica, reader)
    reader.may_read.clear()
    waiting = asyncio.create_task(kept.at(minutes(1), PATIENCE))
    await eventually(lambda: reader.reading == [1])
    await step(replica, changes(service(4), gone=(2,)))
    reader.may_read.set()
    # What changed after the copy was made would be among the rows of the database, too.
    assert names(await waiting) == {"then-1", "s2"}
    assert {each.name for each in replica.graph.services()} == {"now", "s3", "s4"}
