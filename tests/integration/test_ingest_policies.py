"""Policies of callees: timeouts and retries beside the pairs that exist; they make no pair."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from server.domain.dependencies import CommunicationMode, Dependency, DependencyFilter, DiscoverySource
from server.domain.reports import CalleePolicy, IngestBatch, ReportedEdge
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from tests.support.drafts import reported

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RETRIES = '{"max_retries": 2, "backoff_strategy": "linear"}'


@pytest.fixture
async def repository(database_url: str) -> AsyncIterator[DependencyRepository]:
    """Traces have seen that a and b call c."""
    async with Database.open(database_url) as database:
        repository = DependencyRepository(database)
        await repository.ingest(seen("a>c", "b>c"))
        yield repository


def seen(
    *edges: str, source: DiscoverySource = "otel_service_graph", observed_at: datetime = NOON
) -> IngestBatch:
    return IngestBatch(discovery_source=source, observed_at=observed_at, nodes=(), edges=reported(*edges))


def treated(
    *policies: CalleePolicy, observed_at: datetime = NOON, edges: tuple[str, ...] = ()
) -> IngestBatch:
    return replace(seen(*edges, source="kubernetes", observed_at=observed_at), policies=policies)


async def rows_of(
    repository: DependencyRepository, source: DiscoverySource = "kubernetes"
) -> dict[str, Dependency]:
    page = await repository.page(DependencyFilter(discovery_source=source, include_stale=True), 20, None)
    return {f"{row.source_service_id}>{row.target_service_id}": row for row in page.rows}


async def test_each_pair_of_the_callee_gets_a_dependency_of_the_reports_source(
    repository: DependencyRepository,
) -> None:
    observed = await rows_of(repository, "otel_service_graph")

    written = await repository.ingest(treated(CalleePolicy("c", None, 250, RETRIES, 0.5)))

    assert (written.value.services_created, written.value.edges_created) == (0, 2)
    rows = await rows_of(repository)
    assert sorted(rows) == ["a>c", "b>c"]
    assert {row[3:10] for row in rows.values()} == {
        ("sync", "unknown", None, 250, RETRIES, "kubernetes", 0.5)
    }
    assert await rows_of(repository, "otel_service_graph") == observed


async def test_a_policy_creates_no_pair_and_the_answer_says_how_many_applied_to_none(
    repository: DependencyRepository,
) -> None:
    policies = (CalleePolicy("a", None, 250), CalleePolicy("c", "d", 250), CalleePolicy("nowhere", None, 9))

    written = await repository.ingest(treated(*policies))

    assert written.value.warnings == ("3 policies apply to no dependency",)
    assert await rows_of(repository) == {}


async def test_the_policy_for_a_caller_counts_instead_of_the_one_for_all(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(treated(CalleePolicy("c", "b", 9), CalleePolicy("c", None, None, RETRIES)))

    rows = await rows_of(repository)
    assert {edge: (row.timeout_ms, row.retry_config) for edge, row in rows.items()} == {
        "a>c": (None, RETRIES),
        "b>c": (9, None),
    }


async def test_the_same_policy_again_renews_its_dependencies_and_another_one_changes_them(
    repository: DependencyRepository,
) -> None:
    policy = CalleePolicy("c", None, 250)
    await repository.ingest(treated(policy))

    again = (await repository.ingest(treated(policy, observed_at=NOON + MINUTE))).value
    other = (await repository.ingest(treated(policy._replace(timeout_ms=9), observed_at=NOON + MINUTE))).value

    assert (again.edges_unchanged, again.observations_renewed) == (2, 2)
    assert (other.edges_updated, other.edges_created) == (2, 0)


async def test_a_pair_that_is_stale_for_the_others_is_not_kept_alive_by_policies(
    repository: DependencyRepository,
) -> None:
    policy = CalleePolicy("c", None, 250)
    await repository.ingest(treated(policy))
    await repository.ingest(seen("b>c", observed_at=NOON + MINUTE))
    await repository.mark_stale(NOON + MINUTE, "otel_service_graph")

    for minutes in range(1, 7):
        report = treated(policy, observed_at=NOON + minutes * MINUTE)
        await repository.ingest(replace(report, granularity=5 * MINUTE))

    rows = await rows_of(repository)
    assert rows["a>c"].last_observed_at == NOON
    assert rows["b>c"].last_observed_at == NOON + 5 * MINUTE


async def test_a_pair_that_the_report_itself_holds_gets_the_values(repository: DependencyRepository) -> None:
    report = treated(CalleePolicy("d", None, 250), edges=("c>d",))

    written = (await repository.ingest(report)).value

    assert (written.edges_created, written.edges_updated) == (1, 1)
    row = (await rows_of(repository))["c>d"]
    assert (row.communication_mode, row.timeout_ms) == ("sync", 250)
    assert (await repository.ingest(report)).value.edges_unchanged == 2


@pytest.mark.parametrize(
    ("known", "learned"), [(None, "sync"), ("unknown", "sync"), ("sync", "sync"), ("async", "async")]
)
async def test_a_policy_says_that_callers_wait_where_its_source_does_not_know(
    repository: DependencyRepository, known: CommunicationMode | None, learned: CommunicationMode
) -> None:
    if known is not None:
        edge = ReportedEdge("a", "c", known, "soft")
        await repository.ingest(replace(treated(), edges=(edge,)))

    report = treated(CalleePolicy("c", "a", 250), observed_at=NOON + MINUTE)
    await repository.ingest(report)

    row = (await rows_of(repository))["a>c"]
    assert (row.communication_mode, row.timeout_ms) == (learned, 250)
    assert row.criticality == ("unknown" if known is None else "soft")
    assert (await repository.ingest(report)).value.edges_updated == 0
