"""Reports of discovery sources: what one creates, corrects, leaves alone and counts."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from server.config import StalenessSettings
from server.domain.dependencies import Dependency, DependencyFilter
from server.domain.errors import InvalidInputError
from server.domain.reports import IngestBatch, IngestNode, IngestResult, ReportedEdge
from server.domain.services import Service, ServiceDraft, ServiceFilter, ServiceKey
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.drafts import reported, services

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
def repository(database: Database) -> DependencyRepository:
    return DependencyRepository(database)


@pytest.fixture
def catalog(database: Database) -> ServiceRepository:
    return ServiceRepository(database)


def report(*edges: str, nodes: tuple[IngestNode, ...] = (), observed_at: datetime = NOON) -> IngestBatch:
    return IngestBatch(
        discovery_source="kubernetes", observed_at=observed_at, nodes=nodes, edges=reported(*edges)
    )


def result(
    services_created: int = 0,
    created: int = 0,
    updated: int = 0,
    unchanged: int = 0,
    *warnings: str,
    services_updated: int = 0,
    renewed: int = 0,
) -> IngestResult:
    return IngestResult(
        services_created=services_created,
        services_updated=services_updated,
        edges_created=created,
        edges_updated=updated,
        edges_unchanged=unchanged,
        warnings=warnings,
        observations_renewed=renewed,
    )


async def named(catalog: ServiceRepository, name: str) -> Service:
    return await catalog.get(ServiceKey(service_id=name))


async def only_edge(repository: DependencyRepository) -> Dependency:
    page = await repository.page(DependencyFilter(include_stale=True), 2, None)
    assert len(page.rows) == 1
    return page.rows[0]


async def test_a_report_creates_the_services_that_it_names_for_the_first_time(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    await catalog.upsert(services("a"))
    node = IngestNode(service_id="d", metadata='{"zone": "x"}', team="infra", criticality="low")

    written = await repository.ingest(report("a>b", "b>c", nodes=(node,)))

    assert written.value == result(3, 2)
    assert (await named(catalog, "a")).discovered is False
    assert (await named(catalog, "b"))[2:6] == ("{}", "medium", None, True)
    assert (await named(catalog, "d"))[2:6] == ('{"zone": "x"}', "low", "infra", True)
    rows = (await repository.page(DependencyFilter(), 10, None)).rows
    assert {(row.discovery_source, row.last_observed_at, row.is_stale) for row in rows} == {
        ("kubernetes", NOON, False)
    }


async def test_a_repeated_report_changes_nothing(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    batch = report("a>b", "b>c", nodes=(IngestNode(service_id="a", team="infra"),))
    await repository.ingest(batch)
    versions = await connection.fetch("SELECT id, xmin::text FROM service_dependencies ORDER BY id")
    logged = await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log")

    again = await repository.ingest(batch)

    assert again.value == result(unchanged=2)
    assert await connection.fetch("SELECT id, xmin::text FROM service_dependencies ORDER BY id") == versions
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log") == logged


async def test_an_empty_report_is_remembered_and_changes_nothing(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    written = await repository.ingest(report())

    assert written.value == result()
    rows = await connection.fetch("SELECT discovery_source, observed_at FROM depgraph_feed.ingestions")
    assert [tuple(row) for row in rows] == [("kubernetes", NOON)]


async def test_a_later_report_moves_the_time_and_counts_as_unchanged(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b"))
    later = NOON + timedelta(minutes=1)

    written = await repository.ingest(report("a>b", observed_at=later))

    assert written.value == result(unchanged=1, renewed=1)
    assert (await only_edge(repository)).last_observed_at == later


async def test_a_report_that_comes_late_changes_nothing_that_was_observed_after_it(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    known = reported("a>b")[0]._replace(criticality="soft", timeout_ms=5)
    await repository.ingest(replace(report(), edges=(known,)))
    await repository.mark_stale(NOON + timedelta(1), None)
    before = await only_edge(repository)
    late = report("a>b", "a>c", observed_at=NOON - timedelta(hours=1))
    other = known._replace(communication_mode="async", criticality="hard", timeout_ms=9)
    changed = replace(late, edges=(other, *late.edges[1:]))

    written = (await repository.ingest(changed)).value

    assert written == result(
        1, 1, 0, 1, "1 dependency was observed after the time of this report and left as before"
    )
    page = await repository.page(DependencyFilter(include_stale=True), 3, None)
    found = {row.target_service_id: row for row in page.rows}
    assert found["b"] == before
    assert found["c"].last_observed_at == late.observed_at
    assert await connection.fetchval("SELECT observed_at FROM depgraph_feed.ingestions") == NOON


async def test_a_report_that_comes_late_tells_what_was_unknown(repository: DependencyRepository) -> None:
    await repository.ingest(replace(report(), edges=(ReportedEdge("a", "b", criticality="unknown"),)))
    before = await only_edge(repository)
    assert (before.communication_mode, before.criticality) == ("unknown", "unknown")
    late = reported("a>b")[0]._replace(criticality="soft", protocol="grpc", confidence_score=0.5)

    written = await repository.ingest(replace(report(), observed_at=NOON - timedelta(hours=1), edges=(late,)))

    assert written.value == result(updated=1)
    after = await only_edge(repository)
    said = {"communication_mode": "sync", "criticality": "soft", "protocol": "grpc"}
    assert after == before._replace(**said, updated_at=after.updated_at)  # type: ignore[arg-type]


@pytest.mark.parametrize(("later", "renewed"), [(299, 0), (300, 1)])
async def test_an_observation_counts_from_the_granularity_on(
    repository: DependencyRepository, later: int, renewed: int
) -> None:
    await repository.ingest(report("a>b"))
    before = await only_edge(repository)
    again = replace(
        report("a>b", observed_at=NOON + timedelta(seconds=later)), granularity=timedelta(minutes=5)
    )

    written = await repository.ingest(again)

    assert written.value == result(unchanged=1, renewed=renewed)
    assert (await only_edge(repository) == before) == (not renewed)


async def test_the_granularity_is_no_more_than_staleness_allows(database: Database) -> None:
    settings = StalenessSettings(
        stale_after={"kubernetes": timedelta(minutes=8), "service_mesh": None},
        half_life={"kubernetes": timedelta(minutes=10), "otel_service_graph": timedelta(hours=1)},
    )
    five = timedelta(minutes=5)
    assert settings.granularity("kubernetes", five) == timedelta(minutes=1)
    assert settings.granularity("kubernetes", timedelta(0)) == timedelta(0)
    assert settings.granularity("service_mesh", five) == five
    assert settings.granularity("otel_service_graph", 2 * five) == timedelta(minutes=6)
    repository = DependencyRepository(database, settings)
    await repository.ingest(report("a>b"))

    again = report("a>b", observed_at=NOON + timedelta(minutes=1))
    written = await repository.ingest(replace(again, granularity=five))

    assert written.value == result(unchanged=1, renewed=1)


async def test_nothing_that_a_report_saw_is_marked_stale_before_its_time(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b", "a>c"))
    later = NOON + timedelta(seconds=1)
    await repository.ingest(report("a>b", observed_at=later))

    marked = await repository.mark_stale(later, None)

    assert marked.value == 1
    assert (await repository.page(DependencyFilter(), 2, None)).rows[0].target_service_id == "b"


async def test_a_stale_dependency_seen_again_is_fresh_and_counts_as_updated(
    repository: DependencyRepository,
) -> None:
    await repository.ingest(report("a>b"))
    before = await only_edge(repository)
    await repository.mark_stale(NOON + timedelta(1), None)

    written = await repository.ingest(report("a>b"))

    assert written.value == result(updated=1)
    edge = await only_edge(repository)
    assert (edge.is_stale, edge.id) == (False, before.id)


async def test_a_changed_edge_counts_as_updated_and_is_replaced(repository: DependencyRepository) -> None:
    await repository.ingest(report("a>b"))
    edge = reported("a>b")[0]._replace(
        protocol="grpc", retry_config='{"max_retries": 1}', confidence_score=0.25
    )

    written = await repository.ingest(replace(report(), edges=(edge,)))

    assert written.value == result(updated=1)
    stored = await only_edge(repository)
    assert (stored.protocol, stored.retry_config, stored.confidence_score) == (
        "grpc",
        '{"max_retries": 1}',
        0.25,
    )


async def test_the_dependencies_of_another_source_are_left_alone(repository: DependencyRepository) -> None:
    await repository.ingest(report("a>b"))
    other = replace(report("a>b"), discovery_source="service_mesh")

    assert (await repository.ingest(other)).value == result(created=1)
    assert len((await repository.page(DependencyFilter(), 10, None)).rows) == 2


async def test_a_report_corrects_what_it_knows_of_a_discovered_service(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    first = IngestNode(service_id="a", metadata='{"v": 1}', team="infra", criticality="low")
    await repository.ingest(report(nodes=(first,)))
    before = await named(catalog, "a")

    written = await repository.ingest(report(nodes=(IngestNode(service_id="a", team="shop"),)))

    assert written.value == result(services_updated=1)
    after = await named(catalog, "a")
    assert after[:6] == (before.id, "a", '{"v": 1}', "low", "shop", True)


async def test_services_made_by_a_person_keep_their_values_and_one_warning_names_ten_of_them(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    names = [f"s{number:02}" for number in range(12)]
    await catalog.upsert(services(*names))
    before = (await catalog.page(ServiceFilter(), 20, None)).rows

    written = await repository.ingest(
        report(nodes=tuple(IngestNode(service_id=name, team="other") for name in names))
    )

    listed = ", ".join(names[:10])
    warning = f"12 services were made by a person and keep their values: {listed} and 2 more"
    assert written.value == result(0, 0, 0, 0, warning)
    assert (await catalog.page(ServiceFilter(), 20, None)).rows == before


async def test_the_warning_about_a_single_service_names_it(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    await catalog.upsert(services("a"))
    written = await repository.ingest(report(nodes=(IngestNode(service_id="a", team="other"),)))
    assert written.value.warnings == ("1 service was made by a person and keeps its values: a",)


async def test_a_service_made_by_a_person_that_agrees_with_the_report_brings_no_warning(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    await catalog.create(ServiceDraft(service_id="a", metadata='{"v": 1, "w": 2}', team="shop"))
    node = IngestNode(service_id="a", metadata='{"w":2,"v":1}', team="shop", criticality="medium")

    written = await repository.ingest(report("a>b", nodes=(node, IngestNode(service_id="b"))))

    assert written.value == result(1, 1)


async def test_nodes_and_edges_given_twice_are_named_and_nothing_is_written(
    repository: DependencyRepository, catalog: ServiceRepository
) -> None:
    node = IngestNode(service_id="a")

    with pytest.raises(InvalidInputError) as nodes:
        await repository.ingest(report("a>b", nodes=(node, node)))
    with pytest.raises(InvalidInputError) as edges:
        await repository.ingest(report("a>b", "b>a", "a>b"))

    assert [violation.field for violation in nodes.value.violations] == ["nodes[1].service_id"]
    assert [violation.field for violation in edges.value.violations] == ["edges[2]"]
    assert (await catalog.page(ServiceFilter(), 10, None)).rows == ()


@pytest.mark.parametrize("edge", ["a>a", f"a>{'x' * 256}", "a>nul\0"])
async def test_a_report_with_one_bad_edge_writes_nothing_at_all(
    repository: DependencyRepository, catalog: ServiceRepository, connection: asyncpg.Connection, edge: str
) -> None:
    with pytest.raises(InvalidInputError):
        await repository.ingest(report("a>b", edge))

    assert (await catalog.page(ServiceFilter(), 10, None)).rows == ()
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.ingestions") == 0


async def test_five_thousand_edges_are_one_report(repository: DependencyRepository) -> None:
    pairs = [f"s{source}>t{target}" for source in range(50) for target in range(100)]

    assert (await repository.ingest(report(*pairs))).value == result(150, 5_000)
    assert (await repository.ingest(report(*pairs))).value == result(unchanged=5_000)
