"""Migrations go up and down without a trace, and say clearly why they can't."""

from pathlib import Path

import pytest

from server.domain.errors import DatabaseUnavailableError, InvalidInputError
from server.store import migrate
from server.store.migrations import latest_revision
from tests.support.catalog import schema_of
from tests.support.plain_sql import connected


async def test_an_empty_database_has_all_migrations_pending(empty_database_url: str) -> None:
    status = await migrate.status(empty_database_url)

    assert status.current is None
    assert [step.title for step in status.pending[:3]] == [
        "The services table",
        "The service_dependencies table",
        "The circular_dependency_alerts table",
    ]
    assert status.pending[-1].revision == status.head == latest_revision()


async def test_an_upgrade_runs_what_is_pending_and_a_second_one_nothing(empty_database_url: str) -> None:
    pending = (await migrate.status(empty_database_url)).pending

    assert await migrate.upgrade(empty_database_url) == pending
    assert await migrate.upgrade(empty_database_url) == ()

    assert await migrate.status(empty_database_url) == migrate.MigrationStatus(
        current=pending[-1].revision, head=pending[-1].revision, pending=()
    )


async def test_up_down_up_leaves_the_same_schema_and_down_leaves_nothing(empty_database_url: str) -> None:
    nothing = await schema_of(empty_database_url)
    steps = await migrate.upgrade(empty_database_url)
    everything = await schema_of(empty_database_url)

    assert await migrate.downgrade(empty_database_url, "base") == steps[::-1]
    assert await schema_of(empty_database_url) == nothing

    await migrate.upgrade(empty_database_url)
    assert await schema_of(empty_database_url) == everything


async def test_each_step_taken_back_leaves_the_schema_before_it(empty_database_url: str) -> None:
    for step in (await migrate.status(empty_database_url)).pending:
        before = await schema_of(empty_database_url)
        assert await migrate.upgrade(empty_database_url, step.revision) == (step,)
        after = await schema_of(empty_database_url)
        assert after != before

        assert await migrate.downgrade(empty_database_url, "-1") == (step,)
        assert await schema_of(empty_database_url) == before

        await migrate.upgrade(empty_database_url, step.revision)
        assert await schema_of(empty_database_url) == after


async def test_tables_with_rows_go_too(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("INSERT INTO services (service_id) VALUES ('checkout')")

    await migrate.downgrade(database_url, "base")

    assert not [line for line in await schema_of(database_url) if line.startswith("relation")]


async def test_rows_that_only_this_version_can_hold_become_those_of_the_version_before(
    database_url: str,
) -> None:
    async with connected(database_url) as connection:
        await connection.execute(
            """
            INSERT INTO services (service_id, criticality) VALUES ('a', 'unknown'), ('b', 'high');
            INSERT INTO service_dependencies
                (source_service_id, target_service_id, communication_mode, criticality, discovery_source)
            SELECT a.id, b.id, said.mode, said.criticality, said.source
            FROM services AS a, services AS b, (
                VALUES ('unknown', 'unknown', 'catalog'), ('unknown', 'soft', 'kubernetes'),
                    ('async', 'unknown', 'service_mesh')
            ) AS said (mode, criticality, source)
            WHERE a.service_id = 'a' AND b.service_id = 'b';
            INSERT INTO service_aliases (alias, service_id) SELECT 'other', id FROM services LIMIT 1;
            INSERT INTO reporters (reporter, discovery_source) VALUES ('backstage', 'catalog');
            INSERT INTO depgraph_feed.ingestions
            VALUES ('catalog', now(), now()), ('kubernetes', now(), now())
            """
        )

    await migrate.downgrade(database_url, "0010")

    async with connected(database_url) as connection:
        services = await connection.fetch("SELECT service_id, criticality FROM services")
        left = await connection.fetch(
            "SELECT communication_mode, criticality, discovery_source FROM service_dependencies"
        )
        heard = await connection.fetch("SELECT discovery_source FROM depgraph_feed.ingestions")
    assert {tuple(row) for row in services} == {("a", "medium"), ("b", "high")}
    assert {tuple(row) for row in left} == {("sync", "soft", "kubernetes"), ("async", "hard", "service_mesh")}
    assert [row[0] for row in heard] == ["kubernetes"]
    assert [step.revision for step in await migrate.upgrade(database_url)][:3] == ["0011", "0012", "0013"]


async def test_an_empty_database_has_nothing_to_take_back(empty_database_url: str) -> None:
    nothing = await schema_of(empty_database_url)

    assert await migrate.downgrade(empty_database_url, "base") == ()

    assert await schema_of(empty_database_url) == nothing


async def test_the_offline_scripts_do_what_the_commands_do(empty_database_url: str) -> None:
    nothing = await schema_of(empty_database_url)
    await migrate.upgrade(empty_database_url)
    everything = await migrate.status(empty_database_url), await schema_of(empty_database_url)
    await migrate.downgrade(empty_database_url, "base")

    async with connected(empty_database_url) as connection:
        await connection.execute(await migrate.sql("upgrade", "head"))
    assert (await migrate.status(empty_database_url), await schema_of(empty_database_url)) == everything

    async with connected(empty_database_url) as connection:
        await connection.execute(await migrate.sql("downgrade", "head:base"))
    assert await schema_of(empty_database_url) == nothing


async def test_an_offline_downgrade_asks_for_a_range() -> None:
    with pytest.raises(migrate.MigrationError, match="fromrev"):
        await migrate.sql("downgrade", "base")


async def test_a_schema_of_a_newer_program_is_left_alone(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = await schema_of(database_url)

    with pytest.raises(migrate.MigrationError, match=r"revision 9999.*newer depgraph"):
        await migrate.status(database_url)
    with pytest.raises(migrate.MigrationError, match="9999"):
        await migrate.upgrade(database_url)
    with pytest.raises(migrate.MigrationError, match="9999"):
        await migrate.downgrade(database_url, "base")

    assert await schema_of(database_url) == before


async def test_an_unknown_target_is_named(database_url: str) -> None:
    with pytest.raises(migrate.MigrationError, match="0815"):
        await migrate.upgrade(database_url, "0815")
    with pytest.raises(migrate.MigrationError, match="0815"):
        await migrate.downgrade(database_url, "0815")


async def test_a_step_that_fails_leaves_nothing_of_itself(empty_database_url: str) -> None:
    async with connected(empty_database_url) as connection:
        await connection.execute("CREATE TABLE public.service_dependencies (theirs integer)")

    with pytest.raises(migrate.MigrationError, match='relation "service_dependencies" already exists'):
        await migrate.upgrade(empty_database_url)

    assert (await migrate.status(empty_database_url)).current == "0001"
    async with connected(empty_database_url) as connection:
        await connection.execute("DROP TABLE public.service_dependencies")
    assert (await migrate.upgrade(empty_database_url))[0].revision == "0002"


async def test_tables_land_in_public_whatever_the_search_path(empty_database_url: str) -> None:
    async with connected(empty_database_url) as connection:
        await connection.execute("CREATE SCHEMA elsewhere")
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{database}" SET search_path = elsewhere, public')

    await migrate.upgrade(empty_database_url)

    assert not [line for line in await schema_of(empty_database_url) if line.startswith("relation elsewhere")]
    assert (await migrate.status(empty_database_url)).pending == ()


async def test_a_database_that_takes_no_writes_is_unavailable(empty_database_url: str) -> None:
    async with connected(empty_database_url) as connection:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')

    with pytest.raises(DatabaseUnavailableError, match="takes no writes"):
        await migrate.upgrade(empty_database_url)

    assert (await migrate.status(empty_database_url)).current is None


async def test_a_database_that_nobody_serves_is_reported_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError) as unreachable:
        await migrate.status(f"postgresql://postgres:secret@/x?host={tmp_path}")

    assert "secret" not in str(unreachable.value)


@pytest.mark.parametrize("url", ["mysql://u:secret@host/x", "postgresql://u:secret@host:port/x"])
async def test_a_url_that_makes_no_sense_is_an_input_error(url: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await migrate.upgrade(url)

    assert "secret" not in str(refused.value)
