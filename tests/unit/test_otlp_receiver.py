"""What the receiver of OTLP keeps, and when it writes what, over a store that fails on command."""

import asyncio
import time
from datetime import timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from server.config import Limits
from server.domain.caller import ANYONE, Caller, current_caller
from server.domain.errors import DatabaseUnavailableError, InvalidInputError, OverloadedError
from server.domain.reports import IngestBatch
from server.domain.writes import writing_call
from server.rpc.otlp import receiver as module
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.otlp.reports import OtlpRules
from tests.support.eventually import eventually
from tests.support.service_graph import DELTA, SECOND, Connector

ANN = Caller("ann", frozenset({"ingester"}), frozenset({"otel_service_graph"}))
PEER = "ipv4:192.0.2.1:1"


class Store:
    """Keeps the reports that it is given, each with who wrote it; raises ``error`` if it is set."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.refused: set[str] = set()
        self.reports: list[IngestBatch] = []
        self.writers: list[tuple[str, bool]] = []
        self.is_asked = False
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def ingest(self, batch: IngestBatch) -> None:
        self.is_asked = True
        await self.let_go.wait()
        if self.error is not None:
            raise self.error
        if any(edge.target_service_id in self.refused for edge in batch.edges):
            raise InvalidInputError("the database's encoding lacks a letter")
        self.reports.append(batch)
        self.writers.append((current_caller().principal, writing_call() is not None))

    @property
    def edges(self) -> list[str]:
        return sorted(
            f"{edge.source_service_id}>{edge.target_service_id}"
            for report in self.reports
            for edge in report.edges
        )


@pytest.fixture
def store() -> Store:
    return Store()


def receiving(store: Store, rules: OtlpRules | None = None, **limits: Any) -> OtlpReceiver:
    return OtlpReceiver(cast("Any", store), Limits(**limits), rules or OtlpRules())


async def take(
    receiver: OtlpReceiver, *calls: str, at: int | None = None, caller: Caller = ANYONE, count: int = 1
) -> None:
    request = Connector(temporality=DELTA).request(dict.fromkeys(calls, count), at)
    await receiver.take(request.SerializeToString(), caller, PEER)


async def test_an_observation_within_the_granularity_of_a_written_one_is_not_written(store: Store) -> None:
    receiver, now = receiving(store), time.time_ns()
    for seconds in (600, 590, 301, 300, 1):
        await take(receiver, "a>b", at=now - seconds * SECOND)
        await receiver.flush()
    assert [round(now / SECOND - report.observed_at.timestamp()) for report in store.reports] == [600, 300]


async def test_observations_that_wait_are_written_once_with_the_latest_time(store: Store) -> None:
    receiver, now = receiving(store), time.time_ns()
    for seconds in (3, 1, 2):
        await take(receiver, "a>b", "a>c", at=now - seconds * SECOND)
    await receiver.flush()
    [report] = store.reports
    assert store.edges == ["a>b", "a>c"]
    assert round(now / SECOND - report.observed_at.timestamp()) == 1
    assert report.details.element_count == 3 * 8
    assert report.details.skipped == {"a metric that counts no calls": 18}
    assert (report.reporter, report.details.more) == ("otlp", False)


async def test_observations_of_different_times_do_not_share_a_report(store: Store) -> None:
    receiver, now = receiving(store), time.time_ns()
    await take(receiver, "a>new", at=now)
    await take(receiver, "a>old", at=now - 3_600 * SECOND)
    await take(receiver, "a>future", at=now + 3_600 * SECOND)
    await receiver.flush()
    old, new = store.reports
    assert [edge.target_service_id for edge in old.edges] == ["old"]
    assert sorted(edge.target_service_id for edge in new.edges) == ["future", "new"]
    assert new.observed_at.timestamp() <= time.time()
    assert [report.details.more for report in store.reports] == [True, False]


async def test_while_the_database_is_away_observations_wait_and_are_written_afterwards(store: Store) -> None:
    receiver = receiving(store)
    store.error = DatabaseUnavailableError("away")
    await take(receiver, "a>b", "a>c")
    with pytest.raises(DatabaseUnavailableError):
        await receiver.flush()
    await take(receiver, "a>d")
    assert (receiver.waiting, store.reports) == (3, [])
    store.error = None
    await receiver.flush()
    assert (receiver.waiting, store.edges) == (0, ["a>b", "a>c", "a>d"])


async def test_points_that_could_not_be_recorded_are_counted_in_the_next_record(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECORDED", timedelta(0))
    receiver = receiving(store)
    store.error = DatabaseUnavailableError("away")
    for callee in ("b", "c"):
        await take(receiver, f"a>{callee}")
        with pytest.raises(DatabaseUnavailableError):
            await receiver.flush()
    store.error = None
    await receiver.flush()
    assert [report.details.element_count for report in store.reports] == [8]
    await take(receiver, "a>d")
    await receiver.flush()
    assert store.reports[-1].details.element_count == 4


async def test_what_waits_is_bounded_and_exporters_are_asked_to_come_again(store: Store) -> None:
    receiver = receiving(store, max_otlp_series=2)
    store.error = DatabaseUnavailableError("away")
    await take(receiver, "a>b", "a>c")
    with pytest.raises(OverloadedError, match="--max-otlp-series") as refused:
        await take(receiver, "a>d")
    assert refused.value.retry_after
    store.error = None
    await receiver.flush()
    await take(receiver, "a>d")


async def test_a_report_that_can_never_be_written_does_not_hold_up_others(store: Store) -> None:
    receiver = receiving(store)
    store.error = InvalidInputError("wrong")
    await take(receiver, "a>b")
    with capture_logs() as lines:
        await receiver.flush()
    assert [line["lost"] for line in lines] == [1]
    store.error = None
    await take(receiver, "a>c")
    await receiver.flush()
    assert store.edges == ["a>c"]


async def test_calls_that_the_database_refuses_take_no_others_with_them(store: Store) -> None:
    receiver = receiving(store)
    store.refused = {"b17", "b90"}
    calls = [f"a>b{number}" for number in range(100)]
    for _ in range(2):
        await take(receiver, *calls)
        with capture_logs() as lines:
            await receiver.flush()
        assert store.edges == sorted(set(calls) - {"a>b17", "a>b90"})
        assert receiver.waiting == 0
    # They are not tried again at once.
    assert lines == []
    assert [report.details.more for report in store.reports].count(False) == 1


async def test_times_ahead_of_a_clock_that_was_set_back_do_not_hold_up_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, ahead = receiving(store), time.time_ns() + 2 * 86_400 * SECOND
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: ahead)
        await take(receiver, "a>b")
    with capture_logs() as lines:
        await receiver.flush()
    assert [line["lost"] for line in lines] == [1]
    await take(receiver, "a>c")
    await receiver.flush()
    assert (receiver.waiting, store.edges) == (0, ["a>c"])


async def test_once_an_exporters_clock_is_set_right_its_calls_are_seen_again(store: Store) -> None:
    receiver, now = receiving(store), time.time_ns()
    connector = Connector(start=now - 3_600 * SECOND)

    async def send(at: int, **calls: int) -> None:
        counts = {f"a>{callee}": count for callee, count in calls.items()}
        await receiver.take(connector.request(counts, at).SerializeToString(), ANYONE, PEER)
        await receiver.flush()

    await send(now + 365 * 86_400 * SECOND, b=5, dead=5)
    assert store.edges == []
    await send(now - 120 * SECOND, b=6, dead=5)
    assert store.edges == ["a>b"]
    # One new series shows that the first time was wrong; from then on they are known to be new.
    await send(now - 90 * SECOND, b=6, dead=5, new=1)
    await send(now - 60 * SECOND, b=6, dead=5, new=2, newer=1)
    assert store.edges == ["a>b", "a>new", "a>newer"]
    # An older export that comes late is that again.
    await send(now - 70 * SECOND, b=7, dead=6)
    assert store.edges == ["a>b", "a>new", "a>newer"]


async def test_each_principal_writes_in_its_own_name_under_its_own_reporter(store: Store) -> None:
    receiver = receiving(store, OtlpRules(reporter="collectors", confidence=0.5))
    await take(receiver, "a>b", caller=ANN)
    await take(receiver, "a>c")
    await receiver.flush()
    assert [report.reporter for report in store.reports] == ["collectors/ann", "collectors"]
    assert store.writers == [("ann", True), ("", True)]
    assert {edge.confidence_score for report in store.reports for edge in report.edges} == {0.5}


async def test_a_reporter_without_observations_is_recorded_now_and_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receiving(store)
    await take(receiver, "a>b", count=0)
    await receiver.flush()
    assert store.reports == []
    monkeypatch.setattr(module, "_RECORDED", timedelta(0))
    for _ in range(3):
        await receiver.flush()
    [report] = store.reports
    assert (report.edges, report.nodes, report.details.element_count) == ((), (), 4)
    # Nothing was written for a call.
    assert store.writers == [("", False)]


async def test_many_calls_are_written_in_reports_that_a_call_may_carry(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CALLS_A_REPORT", 30)
    receiver = receiving(store)
    calls = [f"a{number}>b{number}" for number in range(31)]
    await take(receiver, *calls)
    await receiver.flush()
    assert sorted(len(report.edges) for report in store.reports) == [1, 30]
    assert store.edges == sorted(calls)
    assert [report.details.more for report in store.reports] == [True, False]


async def test_what_comes_during_a_write_is_written_if_it_renews_enough(store: Store) -> None:
    receiver, now = receiving(store), time.time_ns()
    await take(receiver, "a>b", "a>c", at=now - 600 * SECOND)
    store.let_go.clear()
    flush = asyncio.ensure_future(receiver.flush())
    await eventually(lambda: store.is_asked)
    await take(receiver, "a>b", at=now - 590 * SECOND)
    await take(receiver, "a>c", at=now)
    store.let_go.set()
    await flush
    [before, after] = store.reports
    assert len(before.edges) == 2
    assert [edge.target_service_id for edge in after.edges] == ["c"]
    assert receiver.waiting == 0


async def test_at_the_end_what_waits_is_written_or_its_loss_is_logged(store: Store) -> None:
    receiver = receiving(store)
    await take(receiver, "a>b")
    await receiver.close()
    assert store.edges == ["a>b"]
    await take(receiver, "a>c", "a>d")
    store.error = DatabaseUnavailableError("away")
    with capture_logs() as lines:
        await receiver.close()
    assert [line["lost"] for line in lines] == [2]


async def test_series_beyond_the_limit_are_skipped_until_others_are_silent(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receiving(store, max_otlp_series=1)
    connector, now = Connector(), [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    async def send(*calls: str, value: int) -> None:
        request = connector.request(dict.fromkeys(calls, value))
        await receiver.take(request.SerializeToString(), ANYONE, PEER)
        await receiver.flush()

    await send("a>b", "a>c", value=1)
    assert (store.edges, receiver.series_kept) == (["a>b"], 1)
    assert receiver.tally.skipped["more series than the server keeps (--max-otlp-series)"] == 1
    now[0] += 16 * 60
    await send("a>c", value=2)
    assert (store.edges, receiver.series_kept) == (["a>b", "a>c"], 1)
