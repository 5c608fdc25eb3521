"""Batches find their rows by key, whatever the planner assumes, while statistics lag behind."""

from datetime import timedelta
from itertools import islice, permutations

import asyncpg
import pytest

from server.domain.dependencies import DependencyDraft
from server.domain.reports import ReportedEdge
from server.store import query
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.drafts import dependencies, services

NAMES = [f"s{number}" for number in range(200)]


def drafts(source: str) -> list[DependencyDraft]:
    """Five hundred, all over."""
    pairs = islice(permutations(NAMES, 2), 0, None, 79)
    return [
        DependencyDraft(first, second, "sync", discovery_source=source)  # type: ignore[arg-type] # a word
        for first, second in pairs
    ]


@pytest.fixture
async def behind(database_url: str, connection: asyncpg.Connection) -> None:
    """Statistics from a time when all rows were manual; now as many come from kubernetes."""
    await connection.execute("ALTER TABLE service_dependencies SET (autovacuum_enabled = false)")
    async with Database.open(database_url) as database:
        await ServiceRepository(database).upsert(services(*NAMES))
        repository = DependencyRepository(database)
        await repository.upsert(drafts("manual"))
        await connection.execute("ANALYZE services, service_dependencies")
        await repository.upsert(drafts("kubernetes"))


async def plan(connection: asyncpg.Connection, name: str, *arguments: object) -> str:
    # As the pool's sessions plan.
    await connection.execute("SET plan_cache_mode = force_custom_plan")
    return "\n".join(record[0] for record in await connection.fetch(f"EXPLAIN {query(name)}", *arguments))


@pytest.mark.usefixtures("behind")
async def test_a_report_of_a_source_that_seems_rare_looks_its_edges_up_by_their_ends(
    connection: asyncpg.Connection,
) -> None:
    edges = [
        ReportedEdge(edge.source_service_id, edge.target_service_id, "sync") for edge in drafts("kubernetes")
    ]
    columns = [list(column) for column in zip(*edges, strict=True)]
    observed = await connection.fetchval("SELECT now()")
    ids = await connection.fetchval(
        "SELECT array_agg(gen_random_uuid()) FROM generate_series(1, $1)", len(edges)
    )

    shown = await plan(connection, "ingest_edges", *columns, "kubernetes", observed, ids, timedelta(0))

    assert "idx_deps_discovery_source" not in shown
    assert "Seq Scan on service_dependencies" not in shown


@pytest.mark.usefixtures("behind")
async def test_unchanged_rows_of_a_source_that_seems_rare_are_looked_up_by_their_ends(
    connection: asyncpg.Connection,
) -> None:
    keys = await connection.fetch(
        "SELECT source_service_id, target_service_id, discovery_source FROM service_dependencies"
        " WHERE discovery_source = 'kubernetes'"
    )

    shown = await plan(
        connection, "dependencies_by_keys", *(list(column) for column in zip(*keys, strict=True))
    )

    assert "idx_deps_discovery_source" not in shown
    assert "Seq Scan on service_dependencies" not in shown


async def test_what_a_batch_sets_for_its_session_ends_with_it(database_url: str) -> None:
    async with Database.open(database_url) as database:
        await ServiceRepository(database).upsert(services("a", "b"))

        await DependencyRepository(database).upsert(dependencies("a>b"))

        settings = await database.fetchrow(
            "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"
        )
        assert settings is not None
        assert tuple(settings) == ("force_custom_plan", "on")
