"""Aliases in the system of record: adding, removing, listing; what writers make of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from server.domain.dependencies import DependencyFilter
from server.domain.errors import (
    AliasAlreadyExistsError,
    AliasNotFoundError,
    InvalidInputError,
    ServiceAlreadyExistsError,
    ServiceNotFoundError,
)
from server.domain.reports import CalleePolicy, IngestBatch, IngestNode, ReportedEdge
from server.domain.services import ServiceChange, ServiceDraft, ServiceFilter, ServiceKey
from server.store.aliases import AliasRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.drafts import dependencies, services

EVERY = DependencyFilter()
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
async def aliases(database: Database) -> AliasRepository:
    """Aliases of the services `web-shop` and `db`, of which the first has the alias `web`."""
    await ServiceRepository(database).upsert(services("web-shop", "db"))
    repository = AliasRepository(database)
    await repository.add("web", "web-shop")
    return repository


@pytest.fixture
def catalog(database: Database) -> ServiceRepository:
    return ServiceRepository(database)


@pytest.fixture
def edges(database: Database) -> DependencyRepository:
    return DependencyRepository(database)


async def names(catalog: ServiceRepository, query: str | None = None) -> list[str]:
    page = await catalog.page(ServiceFilter(query=query), 100, None)
    return sorted(row.service_id for row in page.rows)


async def pairs(edges: DependencyRepository, chosen: DependencyFilter = EVERY) -> list[str]:
    page = await edges.page(chosen, 100, None)
    return sorted(f"{row.source_service_id}>{row.target_service_id}" for row in page.rows)


async def test_an_alias_that_a_service_has_is_added_again_without_a_change(aliases: AliasRepository) -> None:
    [first] = (await aliases.page(None, 10, None)).aliases
    assert (first.alias, first.service_id) == ("web", "web-shop")

    assert (await aliases.add("web", "web-shop")).value == first
    assert (await aliases.add("web", "web")).value == first, "a service may be named by an alias"


async def test_a_name_that_a_service_or_another_alias_has_is_refused(aliases: AliasRepository) -> None:
    with pytest.raises(AliasAlreadyExistsError, match="'web' is an alias of the service 'web-shop'") as error:
        await aliases.add("web", "db")
    assert error.value.metadata == {"service_id": "web-shop", "alias": "web"}
    for name in ("db", "web-shop"):
        with pytest.raises(ServiceAlreadyExistsError, match=f"'{name}' exists already: merge it"):
            await aliases.add(name, "web-shop")
    with pytest.raises(ServiceNotFoundError, match="'nobody'"):
        await aliases.add("x", "nobody")
    for name in ("", " x", "a\nb", "e\N{COMBINING ACUTE ACCENT}"):
        with pytest.raises(InvalidInputError, match="alias: "):
            await aliases.add(name, "db")


async def test_a_removed_alias_is_a_name_like_any_other(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    await aliases.remove("web")

    with pytest.raises(AliasNotFoundError, match="'web'"):
        await aliases.remove("web")
    await catalog.create(ServiceDraft("web"))
    assert await names(catalog) == ["db", "web", "web-shop"]


async def test_pages_show_every_alias_once_by_code_point(aliases: AliasRepository) -> None:
    for name in ("b", "B", "a", "ä", "Z", "_"):
        await aliases.add(name, "db")

    shown, after = [], None
    while True:
        page = await aliases.page(None, 2, after)
        shown += [alias.alias for alias in page.aliases]
        if (after := page.next) is None:
            break

    assert shown == ["B", "Z", "_", "a", "b", "web", "ä"]
    assert [each.alias for each in (await aliases.page("web-shop", 9, None)).aliases] == ["web"]
    assert [each.alias for each in (await aliases.page("web", 9, None)).aliases] == ["web"]
    assert (await aliases.page("nobody", 9, None)).aliases == ()


async def test_aliases_go_with_their_service(aliases: AliasRepository, catalog: ServiceRepository) -> None:
    await catalog.delete(ServiceKey("web-shop"))

    assert (await aliases.page(None, 10, None)).aliases == ()


async def test_a_service_is_found_and_updated_by_an_alias(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    found = await catalog.get(ServiceKey("web"))
    assert found.service_id == "web-shop"

    change = ServiceChange(columns=frozenset({"team"}), draft=ServiceDraft("web", team="shop"))
    updated = (await catalog.update(ServiceKey("web"), change)).value

    assert (updated.id, updated.service_id, updated.team) == (found.id, "web-shop", "shop")
    assert await names(catalog, "EB") == ["web-shop"]
    assert await names(catalog, "web-s") == ["web-shop"]
    assert await names(catalog, "b") == ["db", "web-shop"]


async def test_no_service_is_created_under_an_alias(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    with pytest.raises(AliasAlreadyExistsError) as error:
        await catalog.create(ServiceDraft("web"))

    assert error.value.metadata["service_id"] == "web-shop"
    assert await names(catalog) == ["db", "web-shop"]


async def test_a_service_is_not_deleted_by_an_alias(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    with pytest.raises(InvalidInputError, match="'web' is an alias of the service 'web-shop'") as error:
        await catalog.delete(ServiceKey("web"))

    assert error.value.metadata == {"service_id": "web-shop"}
    assert await names(catalog) == ["db", "web-shop"]


async def test_services_are_upserted_under_their_own_names(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    written = (await catalog.upsert([ServiceDraft("new"), ServiceDraft("web", team="shop")])).value

    assert [(row.service_id, row.team) for row in written.rows] == [("new", None), ("web-shop", "shop")]
    assert (written.created, written.updated) == (1, 1)


async def test_a_service_that_comes_twice_by_two_names_is_refused(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await catalog.upsert(services("web-shop", "x", "web"))

    [violation] = error.value.violations
    assert violation.field == "services[2].service_id"
    assert violation.description.startswith("names 'web-shop', as services[0].service_id does")
    assert await names(catalog) == ["db", "web-shop"]


async def test_dependencies_are_upserted_between_services_by_their_own_names(
    aliases: AliasRepository, edges: DependencyRepository
) -> None:
    written = (await edges.upsert(dependencies("web>db"))).value

    assert [(row.source_service_id, row.target_service_id) for row in written.rows] == [("web-shop", "db")]
    assert await pairs(edges, DependencyFilter(source_service_id="web")) == ["web-shop>db"]
    assert await pairs(edges, DependencyFilter(target_service_id="web")) == []


async def test_dependencies_that_are_one_by_their_own_names_are_refused(
    aliases: AliasRepository, edges: DependencyRepository
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await edges.upsert(dependencies("db>web", "web-shop>db", "web>db"))
    [violation] = error.value.violations
    assert violation.field == "dependencies[2]"
    assert violation.description.startswith("is web-shop / db / manual, as dependencies[1] does")

    with pytest.raises(InvalidInputError) as error:
        await edges.upsert(dependencies("db>web", "web-shop>web"))
    assert [each.field for each in error.value.violations] == ["dependencies[1].target_service_id"]
    assert await pairs(edges) == []


def report(*edges: ReportedEdge, nodes: tuple[IngestNode, ...] = ()) -> IngestBatch:
    return IngestBatch(discovery_source="kubernetes", observed_at=NOON, nodes=nodes, edges=edges)


async def test_a_report_is_taken_in_under_the_own_names(
    aliases: AliasRepository, catalog: ServiceRepository, edges: DependencyRepository
) -> None:
    nodes = (IngestNode("web", team="shop"),)
    written = await edges.ingest(report(ReportedEdge("web", "db"), ReportedEdge("new", "web"), nodes=nodes))

    assert (written.value.services_created, written.value.edges_created) == (1, 2)
    assert await pairs(edges) == ["new>web-shop", "web-shop>db"]
    assert await names(catalog) == ["db", "new", "web-shop"]


async def test_items_of_a_report_that_are_one_by_an_alias_are_merged_and_self_calls_dropped(
    aliases: AliasRepository, edges: DependencyRepository
) -> None:
    written = await edges.ingest(
        report(
            ReportedEdge("web", "db", "sync", "soft", protocol="http"),
            ReportedEdge("web-shop", "db", "unknown", "unknown", timeout_ms=9),
            ReportedEdge("web", "web-shop", "sync"),
            nodes=(IngestNode("web"), IngestNode("web-shop")),
        )
    )

    assert written.value.warnings == (
        "2 nodes or edges were of the same services as another one, by an alias, and made one with it",
        "1 edge was a call of a service to itself, by an alias, and left out",
    )
    [row] = (await edges.page(EVERY, 9, None)).rows
    assert (row.source_service_id, row.communication_mode, row.criticality) == ("web-shop", "sync", "soft")
    assert (row.protocol, row.timeout_ms) == ("http", 9)


async def test_a_bad_name_in_a_report_with_aliases_is_named_where_it_was_given(
    aliases: AliasRepository, edges: DependencyRepository
) -> None:
    with pytest.raises(InvalidInputError) as error:
        await edges.ingest(
            report(ReportedEdge("web", "db"), ReportedEdge("web-shop", "db"), ReportedEdge("db", " x"))
        )

    assert [each.field for each in error.value.violations] == ["edges[2].target_service_id"]
    assert await pairs(edges) == []


async def test_policies_are_for_the_own_names(aliases: AliasRepository, edges: DependencyRepository) -> None:
    await edges.upsert(dependencies("db>web-shop"))
    policies = (
        CalleePolicy("web", timeout_ms=5),
        CalleePolicy("web-shop", retry_config='{"max_retries": 1}'),
        CalleePolicy("web", "db", timeout_ms=7),
    )
    await edges.ingest(replace(report(), policies=policies))

    [row] = (await edges.page(DependencyFilter(discovery_source="kubernetes"), 9, None)).rows
    assert (row.source_service_id, row.target_service_id, row.timeout_ms) == ("db", "web-shop", 7)
