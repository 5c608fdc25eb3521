"""What a sweep removes: stale dependencies of a source, then services that are left alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES
from server.domain.writes import WriteCounts
from server.store import removal
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from server.store.staleness import Swept, sweep
from server.store.writes import WriteRepository
from tests.support.drafts import services
from tests.support.observations import AT, DAY, seen

SETTINGS = StalenessSettings(remove_after={"otel_service_graph": 90 * DAY, "kubernetes": None})
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Services a, b and c of people."""
    async with Database.open(database_url) as database:
        await ServiceRepository(database).upsert(services("a", "b", "c"))
        yield database


@pytest.fixture
def repository(database: Database) -> DependencyRepository:
    return DependencyRepository(database)


async def names(connection: asyncpg.Connection) -> set[str]:
    return {row[0] for row in await connection.fetch("SELECT service_id FROM services")}


async def discover(connection: asyncpg.Connection, *found: str, days: int = 91, **said: str) -> None:
    """Have services been discovered so many days before ``AT``."""
    columns = "".join(f", {name}" for name in said)
    values = "".join(f", ${place}" for place in range(3, 3 + len(said)))
    for name in found:
        await connection.execute(
            "INSERT INTO services (service_id, discovered, created_at, updated_at"
            f"{columns}) VALUES ($1, true, $2, $2{values})",
            name,
            AT - days * DAY,
            *said.values(),
        )


async def test_stale_dependencies_of_the_source_go_after_its_time_and_nothing_else(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    old, recent = 90 * DAY + MICROSECOND, 90 * DAY
    drafts = [
        seen("a>b", old)._replace(is_stale=True),
        seen("a>c", recent)._replace(is_stale=True),
        seen("b>c", old),
        *(
            seen("c>a", old, source)._replace(is_stale=True)
            for source in DISCOVERY_SOURCES
            if source != "otel_service_graph"
        ),
    ]
    await repository.upsert(drafts)

    assert await sweep(connection, SETTINGS, AT) == Swept(0, 0, 0, removed=1)

    left = await connection.fetch(
        "SELECT a.service_id || '>' || b.service_id, discovery_source FROM service_dependencies AS d"
        " JOIN services AS a ON a.id = source_service_id JOIN services AS b ON b.id = target_service_id"
    )
    expected = {(f"{draft[0]}>{draft[1]}", draft.discovery_source) for draft in drafts[1:]}
    assert {tuple(row) for row in left} == expected
    assert await names(connection) == {"a", "b", "c"}
    assert not await sweep(connection, SETTINGS, AT)


async def test_discovered_services_without_anything_of_their_own_go_after_the_shortest_time(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await discover(connection, "alone", "called", "calls", "alias-of", "stale-end")
    await discover(connection, "young", days=89)
    await discover(connection, "with-metadata", metadata='{"x": 1}')
    await discover(connection, "with-team", team="shop")
    for word in ("critical", "high", "low"):
        await discover(connection, f"{word}-one", criticality=word)
    await discover(connection, "unknown-one", criticality="unknown", kind="database")
    await connection.execute("UPDATE services SET created_at = $1, updated_at = $1", AT - 91 * DAY)
    await connection.execute("UPDATE services SET created_at = $1 WHERE service_id = 'young'", AT - 89 * DAY)
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id)"
        " SELECT 'other', id FROM services WHERE service_id = 'alias-of'"
    )
    await repository.upsert(
        [
            seen("a>called", DAY),
            seen("calls>a", DAY),
            seen("a>stale-end", 365 * DAY, "service_mesh")._replace(is_stale=True),
        ]
    )
    before = await names(connection)

    longest = StalenessSettings(remove_after={"otel_service_graph": 90 * DAY, "kubernetes": 999 * DAY})
    swept = await sweep(connection, longest, AT)

    assert swept == Swept(0, 0, 0, removed_services=2)
    assert before - await names(connection) == {"alone", "unknown-one"}


async def test_the_ends_of_a_removed_dependency_go_with_it_if_they_are_left_alone(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await discover(connection, "pod-1", "pod-2")
    await connection.execute("UPDATE services SET updated_at = created_at")
    await repository.upsert([seen("pod-1>pod-2", 91 * DAY)._replace(is_stale=True)])

    assert await sweep(connection, SETTINGS, AT) == Swept(0, 0, 0, removed=1, removed_services=2)


async def test_each_batch_is_a_write_of_the_sweeper_in_the_account(
    database: Database,
    repository: DependencyRepository,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removal, "BATCH", 2)
    pods = [f"pod-{number}" for number in range(3)]
    await discover(connection, *pods)
    await repository.upsert([seen(f"a>{pod}", 91 * DAY)._replace(is_stale=True) for pod in pods])

    swept = await sweep(connection, SETTINGS, AT)

    assert swept == Swept(0, 0, 0, removed=3, removed_services=3)
    noted = (await WriteRepository(database).page(9, None)).writes
    assert {(write.principal, write.method) for write in noted} == {("depgraph sweeper", "sweeper/Remove")}
    assert [write.counts for write in reversed(noted)] == [
        WriteCounts(dependencies_deleted=2),
        WriteCounts(dependencies_deleted=1),
        WriteCounts(services_deleted=2),
        WriteCounts(services_deleted=1),
    ]


async def test_where_no_account_is_kept_the_sweeper_notes_nothing(
    repository: DependencyRepository, connection: asyncpg.Connection
) -> None:
    await repository.upsert([seen("a>b", 91 * DAY)._replace(is_stale=True)])

    assert (await sweep(connection, SETTINGS, AT, keeps_writes=False)).removed == 1

    assert await connection.fetchval("SELECT count(*) FROM writes") == 0


async def test_a_service_that_gets_a_dependency_meanwhile_stays(
    repository: DependencyRepository, connection: asyncpg.Connection, database_url: str
) -> None:
    await discover(connection, "pod", "other")
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute(
        "INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
        " SELECT a.id, b.id, 'sync' FROM services AS a, services AS b"
        " WHERE a.service_id = 'a' AND b.service_id = 'pod'"
    )

    # The writer holds a lock on its ends, which a sweep does not wait for.
    swept = await asyncio.wait_for(sweep(connection, SETTINGS, AT), 10)
    await transaction.commit()
    await writer.close()

    assert swept == Swept(0, 0, 0, removed_services=1)
    assert await names(connection) == {"a", "b", "c", "pod"}
    assert not await sweep(connection, SETTINGS, AT)
