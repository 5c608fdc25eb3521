"""
Writes take work in proportion to their rows while the planner takes the tables for empty or small.

That is how tables stand for a while after their rows were deleted, or before a first large import.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import asyncpg
import pytest

from server.config import StalenessSettings
from server.domain.dependencies import DependencyDraft
from server.domain.reports import CalleePolicy, IngestBatch, IngestNode, ReportedEdge
from server.domain.writes import WriteCounts
from server.store.aliases import AliasRepository
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.ingestion import ingest_batch
from server.store.pool import Connection
from server.store.services import ServiceRepository
from server.store.staleness import sweep
from tests.support.drafts import services
from tests.support.explained import Explained, ExplainedDatabase

ROWS = 300
# Each step of a plan takes in what it finds or writes, some of them once more. Comparing each row
# with every other would be ROWS times as much.
ENOUGH = 10 * ROWS
AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=1)


def report(prefix: str, count: int = ROWS, metadata: str | None = None) -> IngestBatch:
    """So many services call one, each said to be a node if there is metadata."""
    edges = [ReportedEdge(f"{prefix}{number}", "hub", "sync") for number in range(count)]
    nodes = [IngestNode(edge.source_service_id, metadata) for edge in edges] if metadata else []
    return IngestBatch(discovery_source="kubernetes", observed_at=AT, nodes=tuple(nodes), edges=tuple(edges))


@pytest.fixture(params=["no row", "one row"])
async def deleted(database_url: str, connection: asyncpg.Connection, request: pytest.FixtureRequest) -> None:
    """Statistics from a time when nearly all rows were deleted, their room not given back."""
    for table in ("services", "service_dependencies"):
        await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    async with Database.open(database_url) as database:
        await DependencyRepository(database).ingest(report("old"))
    left = {"no row": "", "one row": "hub"}[request.param]
    await connection.execute("DELETE FROM services WHERE service_id <> $1", left)
    await connection.execute("ANALYZE services, service_dependencies")


@pytest.mark.usefixtures("deleted")
async def test_writes_to_tables_that_seem_empty_handle_each_row_a_few_times(database_url: str) -> None:
    async with Database.open(database_url) as database:
        explained = ExplainedDatabase(database)
        dependencies = DependencyRepository(cast("Database", explained))
        catalog = ServiceRepository(cast("Database", explained))
        changed = replace(report("a", metadata='{"port": 2}'), observed_at=LATER)
        edges = [DependencyDraft(f"b{number}", f"b{(number + 1) % ROWS}", "sync") for number in range(ROWS)]

        for batch in (report("a", metadata='{"port": 1}'), changed, changed):
            await dependencies.ingest(batch)
        for _ in range(2):
            await catalog.upsert(services(*(f"b{number}" for number in range(ROWS))))
        for mode in ("sync", "sync", "async"):
            await dependencies.upsert([edge._replace(communication_mode=mode) for edge in edges])
        marked = await dependencies.mark_stale(LATER + timedelta(days=1), "kubernetes")

        assert marked.value == ROWS
        assert ROWS <= explained.handled <= ENOUGH


@pytest.mark.usefixtures("deleted")
async def test_merges_in_tables_that_seem_empty_handle_each_row_a_few_times(database_url: str) -> None:
    async with Database.open(database_url) as database:
        explained = ExplainedDatabase(database)
        edges = [
            DependencyDraft(source, f"callee{number}", "sync")
            for number in range(ROWS)
            for source in (("hub", "twin") if number % 2 else ("twin",))
        ]
        names = {"hub", "twin", *(edge.target_service_id for edge in edges)}
        await ServiceRepository(database).upsert(services(*sorted(names)))
        await DependencyRepository(database).upsert(edges)

        merged = await AliasRepository(cast("Database", explained)).merge("twin", "hub", validate_only=False)

        assert (merged.value.dependencies_moved, merged.value.dependencies_merged) == (ROWS // 2, ROWS // 2)
        assert ROWS <= explained.handled <= ENOUGH


@pytest.mark.usefixtures("deleted")
async def test_sweeps_of_tables_that_seem_empty_handle_each_row_a_few_times(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with Database.open(database_url) as database:
        await DependencyRepository(database).ingest(report("a"))
    day = timedelta(days=1)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    explained = Explained(connection)

    stale = StalenessSettings(stale_after={"kubernetes": day}, half_life={"kubernetes": day})
    for settings in (stale, StalenessSettings()):
        swept = await sweep(explained, settings, AT + 2 * day)  # type: ignore[arg-type] # it is like one
        assert (swept.marked or swept.restored) == ROWS

    assert ROWS <= explained.handled <= ENOUGH


@pytest.mark.usefixtures("deleted")
async def test_policies_and_aliases_of_tables_that_seem_empty_handle_each_row_a_few_times(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with Database.open(database_url) as database:
        await DependencyRepository(database).ingest(replace(report("a"), discovery_source="service_mesh"))
        await connection.execute(
            "INSERT INTO service_aliases (alias, service_id) SELECT 'other-' || service_id, id FROM services"
        )
        explained = ExplainedDatabase(database)
        repository = DependencyRepository(cast("Database", explained))
        each = [CalleePolicy("hub", f"a{number}", 100) for number in range(ROWS)]
        none = [CalleePolicy(f"a{number}", "hub", 100) for number in range(ROWS)]
        of_callees = replace(report("a"), edges=(), policies=(CalleePolicy("hub", None, 200), *each, *none))

        treated = [await repository.ingest(of_callees) for _ in range(2)]
        await repository.ingest(report("other-a", metadata='{"port": 1}'))

    assert [answer.value.edges_created for answer in treated] == [ROWS, 0]
    assert ROWS <= explained.handled <= ENOUGH


@pytest.mark.usefixtures("deleted")
async def test_removals_from_tables_that_seem_empty_handle_each_row_a_few_times(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with Database.open(database_url) as database:
        await DependencyRepository(database).ingest(report("a"))
    await connection.execute("UPDATE service_dependencies SET is_stale = true")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    explained = Explained(connection)
    gone = StalenessSettings(remove_after={"kubernetes": timedelta(days=1)})

    later = datetime.now(UTC) + timedelta(days=2)
    swept = await sweep(explained, gone, later)  # type: ignore[arg-type] # it is like one

    assert (swept.removed, swept.removed_services) == (ROWS, ROWS + 1)
    assert ROWS <= explained.handled <= ENOUGH


async def test_a_session_that_wrote_to_small_tables_checks_foreign_keys_of_large_ones_by_index(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async def scanned(session: Connection) -> int:
        found: int = await session.fetchval(
            "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'public.services'::regclass"
        )
        return found

    async def ingest(session: Connection) -> int:
        before = await scanned(session)
        await ingest_batch(session, report("large"))
        return await scanned(session) - before

    async with Database.open(database_url, pool_size=1) as database:
        repository = DependencyRepository(database)
        await repository.ingest(report("small", 10))
        await connection.execute("ANALYZE services, service_dependencies")
        # PostgreSQL keeps the plan of a check after five of them.
        await repository.ingest(report("few", 10))

        written = await database.write(ingest, lambda _: WriteCounts())

    assert written.value == 0
