"""When sources are pulled, and what is sent then."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, Dependency
from server.formats.reading import Reading, Skipped
from server.sources.schedule import (
    Gathered,
    Pulled,
    Schedule,
    SendError,
    failure_report,
    gathered,
    reports_of,
)
from server.sources.source import PullError, Source
from tests.support.eventually import eventually
from tests.support.sources import source


def reading(edges: int = 1, **more: Any) -> Reading:
    report = IngestGraphRequest(
        edges=[Dependency(source_service_id="hub", target_service_id=f"s{n}") for n in range(edges)]
    )
    skipped = (Skipped(reason="no name", count=2, first=0),)
    return Reading(report=report, element_count=edges + 2, skipped=skipped, **more)


class Sent:
    """What was sent; ``refuse`` decides whether a report is refused."""

    def __init__(self, refuse: Callable[[IngestGraphRequest], bool] = lambda _: False) -> None:
        self.reports: list[IngestGraphRequest] = []
        self.outcomes: list[Pulled] = []
        self._refuse = refuse

    async def __call__(self, _: Source, report: IngestGraphRequest) -> IngestGraphResponse:
        if self._refuse(report):
            raise SendError("the database is away")
        self.reports.append(report)
        return IngestGraphResponse(edges_created=len(report.edges))


def schedule(sent: Sent, outcome: Reading | Exception) -> Schedule:
    async def gather(source: Source) -> Gathered:
        if isinstance(outcome, Exception):
            raise outcome
        return gathered(source, outcome, Timestamp(seconds=1))

    return Schedule(gather, sent, sent.outcomes.append)


def test_a_report_names_its_reporter_and_how_it_came_about() -> None:
    at = Timestamp(seconds=1_700_000_000)
    (report,) = reports_of(source("http://x", every=timedelta(minutes=2), confidence=0.7), reading(), at)
    assert report.discovery_source == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert (report.reporter, report.observe_time) == ("prom", at)
    assert report.observation_granularity.ToTimedelta() == timedelta(minutes=5)
    assert report.details.interval.ToTimedelta() == timedelta(minutes=2)
    assert (report.details.element_count, dict(report.details.skipped)) == (3, {"no name": 2})
    assert report.edges[0].confidence_score == 0.7


def test_a_large_reading_is_cut_and_counted_once() -> None:
    reports = list(reports_of(source("http://x"), reading(5_000), Timestamp(seconds=1), 2_000))
    assert [len(report.edges) for report in reports] == [2_000, 2_000, 1_000]
    assert [report.details.more for report in reports] == [True, True, False]
    assert sum(report.details.element_count for report in reports) == 5_002
    assert {report.reporter for report in reports} == {"prom"}


async def test_a_pull_is_sent_and_its_outcome_reported() -> None:
    sent = Sent()
    pulled = await schedule(sent, reading(3)).once(source("http://x"))
    assert (pulled.error, pulled.edges_created, pulled.element_count, pulled.skipped_count) == ("", 3, 5, 2)
    assert sent.outcomes == [pulled]


async def test_a_failed_pull_sends_nothing_but_why() -> None:
    sent = Sent()
    pulled = await schedule(sent, PullError("away")).once(source("http://x"))
    assert pulled.error == "away"
    assert sent.reports == [failure_report(pulled.source, "away")]
    assert not sent.reports[0].nodes
    assert not sent.reports[0].edges


async def test_a_mistake_of_ours_in_one_source_is_a_failure_of_that_source() -> None:
    sent = Sent()
    with capture_logs():
        pulled = await schedule(sent, KeyError("x")).once(source("http://x"))
    assert pulled.error == "unexpected KeyError: 'x'"
    assert sent.reports[0].details.error == pulled.error


async def test_a_report_that_is_refused_is_a_failure_of_the_source() -> None:
    sent = Sent(refuse=lambda report: bool(report.edges))
    pulled = await schedule(sent, reading()).once(source("http://x"))
    assert pulled.error == "the database is away"
    assert [report.details.error for report in sent.reports] == ["the database is away"]


async def test_a_failure_that_can_not_be_recorded_is_logged() -> None:
    sent = Sent(refuse=lambda _: True)
    with capture_logs() as logs:
        await schedule(sent, PullError("away")).once(source("http://x"))
    assert [line["cause"] for line in logs] == ["the database is away"]


async def test_sources_are_pulled_again_and_again_until_cancelled() -> None:
    sent = Sent()
    fast, other = source("http://x", every=timedelta(0)), source("http://x", name="other")
    pulling = asyncio.ensure_future(schedule(sent, PullError("away")).forever([fast, other]))
    await eventually(lambda: [each.reporter for each in sent.reports].count("prom") > 1)
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert [each.reporter for each in sent.reports].count("other") == 1


async def test_at_most_four_sources_are_pulled_at_a_time() -> None:
    running, most = 0, 0
    free = asyncio.Event()

    async def gather(_: Source) -> Gathered:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await free.wait()
        running -= 1
        raise PullError("away")

    sent = Sent()
    sources = [source("http://x", name=str(number)) for number in range(9)]
    pulling = asyncio.ensure_future(Schedule(gather, sent, sent.outcomes.append).all_once(sources))
    await eventually(lambda: running == 4)
    free.set()
    assert len(await pulling) == 9
    assert most == 4
