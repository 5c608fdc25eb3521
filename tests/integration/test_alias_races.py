"""Writers that meet an alias in the making: they end as if one had come after the other."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from server.domain.dependencies import DependencyFilter
from server.domain.errors import AliasAlreadyExistsError, ServiceAlreadyExistsError
from server.domain.reports import IngestBatch, ReportedEdge
from server.domain.services import ServiceChange, ServiceDraft, ServiceFilter, ServiceKey
from server.store.aliases import AliasRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.drafts import dependencies, services
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.examples import repeats

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBERS = range(10)
ROUNDS = range(repeats(3))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
def catalog(database: Database) -> ServiceRepository:
    return ServiceRepository(database)


@pytest.fixture
def edges(database: Database) -> DependencyRepository:
    return DependencyRepository(database)


@pytest.fixture
async def aliases(database: Database, catalog: ServiceRepository) -> AliasRepository:
    await catalog.upsert(services("web-shop", "db"))
    return AliasRepository(database)


async def names(catalog: ServiceRepository) -> set[str]:
    return {row.service_id for row in (await catalog.page(ServiceFilter(), 1_000, None)).rows}


async def pairs(edges: DependencyRepository) -> list[str]:
    rows = (await edges.page(DependencyFilter(include_stale=True), 1_000, None)).rows
    return sorted(f"{row.source_service_id}>{row.target_service_id}" for row in rows)


def report(*pairs: str) -> IngestBatch:
    ends = [pair.split(">") for pair in pairs]
    reported = tuple(ReportedEdge(source, target, "sync") for source, target in ends)
    return IngestBatch(discovery_source="kubernetes", observed_at=NOON, nodes=(), edges=reported)


async def test_of_an_alias_and_a_service_that_get_a_name_at_once_one_succeeds(
    aliases: AliasRepository, catalog: ServiceRepository
) -> None:
    for turn in ROUNDS:
        wanted = [f"n{turn}-{number}" for number in NUMBERS]
        outcomes = await asyncio.gather(
            *(aliases.add(name, "db") for name in wanted),
            *(catalog.create(ServiceDraft(name)) for name in wanted),
            return_exceptions=True,
        )

        for added, created in zip(outcomes[: len(wanted)], outcomes[len(wanted) :], strict=True):
            failed = [each for each in (added, created) if isinstance(each, BaseException)]
            assert len(failed) == 1
            assert isinstance(failed[0], ServiceAlreadyExistsError | AliasAlreadyExistsError)


async def test_a_report_and_an_alias_of_a_name_in_it_leave_one_service_with_the_edge(
    aliases: AliasRepository, catalog: ServiceRepository, edges: DependencyRepository
) -> None:
    for turn in ROUNDS:
        wanted = [f"n{turn}-{number}" for number in NUMBERS]
        outcomes = await asyncio.gather(
            *(aliases.add(name, "web-shop") for name in wanted),
            *(edges.ingest(report(f"{name}>db", f"{name}>only-{name}")) for name in wanted),
            return_exceptions=True,
        )

        assert not [each for each in outcomes[len(wanted) :] if isinstance(each, BaseException)]
        present, found = await names(catalog), await pairs(edges)
        for name, added in zip(wanted, outcomes, strict=False):
            is_alias = not isinstance(added, BaseException)
            assert is_alias or isinstance(added, ServiceAlreadyExistsError), added
            assert is_alias == (name not in present)
            assert f"{'web-shop' if is_alias else name}>only-{name}" in found


async def test_what_is_written_to_a_service_while_it_is_merged_is_not_lost(
    aliases: AliasRepository, catalog: ServiceRepository, edges: DependencyRepository
) -> None:
    team = ServiceChange(columns=frozenset({"team"}), draft=ServiceDraft("", team="shop"))
    for turn in ROUNDS:
        old = f"old{turn}"
        await catalog.upsert(services(old, *(f"t{number}" for number in NUMBERS)))
        await edges.upsert(dependencies(*(f"{old}>t{number}" for number in NUMBERS)))

        outcomes = await asyncio.gather(
            *(edges.ingest(report(f"{old}>new{turn}-{number}", f"{old}>t{number}")) for number in NUMBERS),
            aliases.merge(old, "web-shop", validate_only=True),
            aliases.merge(old, "web-shop", validate_only=False),
            aliases.add(f"alias{turn}", old),
            *(edges.upsert(dependencies(f"t{number}>{old}")) for number in NUMBERS),
            catalog.update(ServiceKey(old), team),
            return_exceptions=True,
        )

        failed = [each for each in outcomes if isinstance(each, BaseException)]
        # The merge that is only tried may come second, and finds an alias then.
        assert all("is an alias of the service 'web-shop'" in str(each) for each in failed), failed
        assert len(failed) <= 1
        found = await pairs(edges)
        assert not [pair for pair in found if old in pair.split(">")]
        assert old not in await names(catalog)
        assert {f"web-shop>new{turn}-{number}" for number in NUMBERS} <= set(found)
        assert {f"t{number}>web-shop" for number in NUMBERS} <= set(found)
        assert (await aliases.own_names([old, f"alias{turn}"])) == {
            old: "web-shop",
            f"alias{turn}": "web-shop",
        }
        assert (await catalog.get(ServiceKey(old))).service_id == "web-shop"
        assert (await catalog.get(ServiceKey("web-shop"))).team == "shop"


async def test_merges_in_opposite_directions_leave_one_service(
    aliases: AliasRepository, catalog: ServiceRepository, edges: DependencyRepository
) -> None:
    for turn in ROUNDS:
        here, there = f"here{turn}", f"there{turn}"
        await catalog.upsert(services(here, there))
        await edges.upsert(dependencies(f"{here}>db", f"{there}>db", f"web-shop>{here}"))

        outcomes = await asyncio.gather(
            aliases.merge(here, there, validate_only=False),
            aliases.merge(there, here, validate_only=False),
            return_exceptions=True,
        )

        failed = [each for each in outcomes if isinstance(each, BaseException)]
        assert len(failed) == 1, failed
        [left] = {here, there} & await names(catalog)
        assert {f"{left}>db", f"web-shop>{left}"} <= set(await pairs(edges))


NAMES_LOCK = "7203411, 8"


@pytest.fixture
async def names_taken(connection: asyncpg.Connection) -> asyncpg.Connection:
    """A session that holds the lock of names, as a merge does."""
    await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({NAMES_LOCK})")
    return connection


async def test_services_that_are_upserted_wait_for_a_merge_before_they_lock_rows(
    aliases: AliasRepository, catalog: ServiceRepository, names_taken: asyncpg.Connection
) -> None:
    drafts = [ServiceDraft("db", team="data"), ServiceDraft("new")]
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        upserting = tasks.create_task(catalog.upsert(drafts))
        while not await names_taken.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 8 AND NOT granted)"
        ):
            await asyncio.sleep(0.002)
        await names_taken.execute("SELECT FROM services WHERE service_id = 'db' FOR UPDATE NOWAIT")
        await names_taken.execute("COMMIT")
    assert upserting.result().value.created == 1


async def test_a_report_of_services_that_exist_does_not_wait_for_a_merge(
    aliases: AliasRepository, edges: DependencyRepository, names_taken: asyncpg.Connection
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        written = await edges.ingest(report("web-shop>db"))
    assert written.value.edges_created == 1
