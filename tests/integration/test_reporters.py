"""The record of who reports: what a report, several requests and a failure leave in it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from depgraph.v1.graph_service_pb2 import GetStatusResponse
from server.domain.dependencies import DependencyFilter, DiscoverySource
from server.domain.reports import IngestBatch, ReportDetails, Reporter
from server.rpc.answers import source_message
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.reporters import KnownReporters
from tests.support.drafts import reported

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
def repository(database: Database) -> DependencyRepository:
    return DependencyRepository(database)


def report(
    *edges: str,
    reporter: str = "eu",
    source: DiscoverySource = "service_mesh",
    at: datetime = NOON,
    **details: Any,
) -> IngestBatch:
    return IngestBatch(
        discovery_source=source,
        observed_at=at,
        nodes=(),
        edges=reported(*edges),
        reporter=reporter,
        details=ReportDetails(**details),
    )


def counts(reporter: Reporter) -> tuple[int, ...]:
    return (
        reporter.services_created,
        reporter.edges_created,
        reporter.edges_updated,
        reporter.edges_unchanged,
        reporter.observations_renewed,
    )


async def only(repository: DependencyRepository) -> Reporter:
    [reporter] = await repository.reporters()
    return reporter


async def test_each_reporter_of_a_source_has_a_record_of_its_last_report(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b", interval=MINUTE, element_count=7, skipped={"a raw address": 4}))
    await repository.ingest(report("a>b", "a>c", at=NOON + MINUTE, reporter=""))
    await repository.ingest(report("a>b", source="kubernetes"))

    without_name, kubernetes, mesh = await repository.reporters()

    assert (without_name.reporter, counts(without_name)) == ("", (1, 1, 0, 1, 1))
    assert (kubernetes.reporter, kubernetes.discovery_source) == ("eu", "kubernetes")
    assert (mesh.interval, mesh.element_count, mesh.skipped) == (MINUTE, 7, {"a raw address": 4})
    assert counts(mesh) == (2, 1, 0, 0, 0)
    assert mesh.succeeded_at == mesh.attempted_at
    assert (mesh.last_error, mesh.is_silent) == ("", False)


async def test_the_requests_of_one_report_are_added_up_and_succeed_with_the_last(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b", more=True, element_count=2, skipped={"x": 1}))
    first = await only(repository)
    await repository.ingest(report("a>b", "a>c", element_count=3, skipped={"x": 2, "y": 1}))
    whole = await only(repository)
    await repository.ingest(report("a>b", at=NOON + MINUTE, element_count=1))

    assert (first.succeeded_at, counts(first)) == (None, (2, 1, 0, 0, 0))
    assert (whole.element_count, whole.skipped, counts(whole)) == (5, {"x": 3, "y": 1}, (3, 2, 0, 1, 0))
    assert whole.succeeded_at is not None
    last = await only(repository)
    assert (last.element_count, last.skipped, counts(last)) == (1, {}, (0, 0, 0, 1, 1))


async def test_a_report_that_was_never_finished_does_not_count_in_the_next_one(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b", more=True, element_count=2))

    await repository.ingest(report("a>b", at=NOON + MINUTE, element_count=3))

    assert (await only(repository)).element_count == 3


async def test_an_error_stays_until_all_of_a_report_is_taken_in(repository: DependencyRepository) -> None:
    await repository.ingest(report(error="HTTP 503"))
    await repository.ingest(report("a>b", more=True))
    part = await only(repository)
    await repository.ingest(report("a>c"))
    assert (part.last_error, (await only(repository)).last_error) == ("HTTP 503", "")


async def test_a_failed_attempt_notes_why_and_changes_nothing_else(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.ingest(report("a>b", interval=MINUTE, element_count=7))
    before = await only(repository)
    ingested = await connection.fetch("SELECT * FROM depgraph_feed.ingestions")
    rows = (await repository.page(DependencyFilter(), 9, None)).rows

    failed = report(at=NOON + MINUTE, interval=2 * MINUTE, error="HTTP 503")
    written = await repository.ingest(failed)

    after = await only(repository)
    assert written.value.edges_unchanged == 0
    assert after.attempted_at > before.attempted_at
    assert after == replace(
        before,
        attempted_at=after.attempted_at,
        success_age=after.success_age,
        interval=2 * MINUTE,
        last_error="HTTP 503",
    )
    assert await connection.fetch("SELECT * FROM depgraph_feed.ingestions") == ingested
    assert (await repository.page(DependencyFilter(), 9, None)).rows == rows
    await repository.ingest(report("a>b"))
    assert (await only(repository)).last_error == ""


async def test_a_reporter_is_silent_after_three_intervals_or_if_it_never_succeeded(
    database: Database, repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.ingest(report("a>b", reporter="asked", interval=None))
    await repository.ingest(report("a>b", reporter="late", interval=MINUTE))
    await repository.ingest(report(reporter="never", interval=MINUTE, error="no such host"))
    await repository.ingest(report("a>b", reporter="quick", interval=MINUTE))
    await connection.execute(
        "UPDATE reporters SET succeeded_at = succeeded_at - CASE reporter"
        " WHEN 'late' THEN interval '180 seconds' ELSE interval '170 seconds' END"
    )
    known = KnownReporters(database)

    await known.read()

    assert {each.reporter for each in known.now() if each.is_silent} == {"late", "never"}
    late, never = known.problems()
    assert late == (
        "the reporter late (service_mesh) has not reported for 0:03:00, and means to report every 0:01:00"
    )
    assert never == (
        "the reporter never (service_mesh) has never reported, and means to report every 0:01:00:"
        " no such host"
    )


async def test_a_reporter_is_forgotten_a_month_after_its_last_attempt(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    for name in ("gone", "back", "here"):
        await repository.ingest(report("a>b", reporter=name))
    await connection.execute(
        "UPDATE reporters SET attempted_at = now() - interval '31 days' WHERE reporter IN ('gone', 'back')"
    )

    await repository.ingest(report("a>b", reporter="back"))

    assert [each.reporter for each in await repository.reporters()] == ["back", "here"]


async def test_no_more_than_a_hundred_reasons_are_kept(repository: DependencyRepository) -> None:
    for number, more in ((0, True), (1, False)):
        skipped = {f"reason {number} {which}": 1 + number for which in range(80)}
        await repository.ingest(report("a>b", more=more, skipped=skipped))

    kept = (await only(repository)).skipped
    assert (len(kept), sum(kept.values())) == (100, 180)


async def test_sums_of_skipped_elements_stay_numbers_of_the_contract(
    repository: DependencyRepository,
) -> None:
    most = 2**63 - 1
    for more in (True, False):
        await repository.ingest(report("a>b", more=more, skipped={"x": most, "y": 1}))

    assert source_message(await only(repository)).skipped == {"x": most, "y": 2}


async def test_reporters_with_much_text_fit_into_one_answer_and_the_latest_keep_theirs(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """
        INSERT INTO reporters (reporter, discovery_source, last_error, attempted_at, skipped, report_interval)
        SELECT lpad(number::text, 250, 'ß'), 'service_mesh', repeat('é', 1000),
            now() - number * interval '1 second',
            (SELECT jsonb_object_agg(repeat('ö', 250) || reason, 3) FROM generate_series(1, 100) AS reason),
            interval '1 second'
        FROM generate_series(1, 1100) AS number
        """
    )

    found = await repository.reporters()

    by_time = sorted(found, key=lambda each: each.attempted_at, reverse=True)
    latest, oldest = by_time[0], by_time[-1]
    assert (len(found), len(latest.skipped), len(latest.last_error)) == (1000, 100, 1000)
    assert (oldest.skipped, oldest.last_error) == ({"reasons that are not shown": 300}, "é" * 100)
    answer = GetStatusResponse(
        sources=map(source_message, found), problems=[f"{each}: {each.last_error}" for each in found]
    )
    assert answer.ByteSize() < 4 * 1024 * 1024
