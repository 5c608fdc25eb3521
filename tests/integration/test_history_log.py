"""The undo log: what each statement of a writer leaves in it."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.support.plain_sql import insert_service

Connection = asyncpg.Connection
_LOGS = ("service_changes", "dependency_changes", "alias_changes")
_DEPENDENCY = """
    INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
    VALUES ($1, $2, 'sync') RETURNING id
"""


async def entries(connection: Connection, log: str) -> list[asyncpg.Record]:
    return await connection.fetch(f"SELECT * FROM depgraph_history.{log} ORDER BY seq")


async def forget(connection: Connection) -> None:
    for log in _LOGS:
        await connection.execute(f"DELETE FROM depgraph_history.{log}")


async def nothing_was_written(connection: Connection) -> bool:
    holes = await connection.fetchval("SELECT depgraph_history.count_of_holes()")
    return holes == 0 and not [entry for log in _LOGS for entry in await entries(connection, log)]


@pytest.fixture
async def pair(connection: Connection) -> tuple[UUID, UUID, UUID]:
    """Two services, and a dependency of the first on the second, without entries."""
    a, b = await insert_service(connection, "a"), await insert_service(connection, "b")
    dependency: UUID = await connection.fetchval(_DEPENDENCY, a, b)
    await connection.execute("INSERT INTO service_aliases (alias, service_id) VALUES ('other', $1)", a)
    await forget(connection)
    return a, b, dependency


async def test_a_new_row_was_not_there_before(connection: Connection) -> None:
    service = await insert_service(connection, "a")

    [entry] = await entries(connection, "service_changes")
    assert (entry["id"], entry["existed"], entry["service_id"]) == (service, False, None)
    assert entry["xid"] is not None


async def test_an_update_keeps_the_structural_columns_as_they_were(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    before: Any = await connection.fetchrow("SELECT * FROM service_dependencies")
    await connection.execute("UPDATE service_dependencies SET timeout_ms = 7, criticality = 'soft'")

    [entry] = await entries(connection, "dependency_changes")
    own = ("seq", "xid", "at", "principal", "existed")
    assert entry["existed"]
    assert {name: value for name, value in entry.items() if name not in own} == {
        name: value
        for name, value in before.items()
        if name not in ("last_observed_at", "updated_at", "reported_confidence")
    }


async def test_heartbeats_and_decay_and_updates_of_nothing_leave_nothing(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    await connection.execute("UPDATE service_dependencies SET last_observed_at = now() + interval '1 s'")
    await connection.execute("SET depgraph.staleness = 'swept'")
    await connection.execute(
        "UPDATE service_dependencies SET confidence_score = 0.5, reported_confidence = 1"
    )
    await connection.execute(
        "UPDATE service_dependencies SET confidence_score = 0.25, reported_confidence = 1"
    )
    await connection.execute("UPDATE services SET service_id = service_id")

    assert await nothing_was_written(connection)


async def test_numbers_that_only_look_different_are_another_value(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    await connection.execute("""UPDATE services SET metadata = '{"n": 1}' WHERE service_id = 'a'""")
    await connection.execute("""UPDATE services SET metadata = '{"n": 1.0}' WHERE service_id = 'a'""")

    assert [entry["metadata"] for entry in await entries(connection, "service_changes")] == ["{}", '{"n": 1}']


async def test_a_deleted_service_takes_its_dependencies_and_aliases_along(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    a, b, dependency = pair
    await connection.execute("DELETE FROM services WHERE id = $1", a)

    [service] = await entries(connection, "service_changes")
    [edge] = await entries(connection, "dependency_changes")
    [alias] = await entries(connection, "alias_changes")
    assert (service["id"], service["existed"], service["service_id"]) == (a, True, "a")
    assert (edge["id"], edge["source_service_id"], edge["target_service_id"]) == (dependency, a, b)
    assert (alias["alias"], alias["service_id"]) == ("other", a)


async def test_truncate_removes_every_row(connection: Connection, pair: tuple[UUID, UUID, UUID]) -> None:
    await connection.execute("TRUNCATE services CASCADE")

    assert [entry["service_id"] for entry in await entries(connection, "service_changes")] == ["a", "b"]
    assert [entry["id"] for entry in await entries(connection, "dependency_changes")] == [pair[2]]
    assert [entry["alias"] for entry in await entries(connection, "alias_changes")] == ["other"]


async def test_a_changed_primary_key_is_a_removal_and_an_insertion(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    renamed = UUID(int=7)
    await connection.execute("UPDATE service_dependencies SET id = $1", renamed)

    found = {entry["id"]: entry["existed"] for entry in await entries(connection, "dependency_changes")}
    assert found == {pair[2]: True, renamed: False}


async def test_what_is_rolled_back_leaves_nothing(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    async with connection.transaction():
        await connection.execute("UPDATE services SET team = 'kept' WHERE service_id = 'a'")
        undone = connection.transaction()
        await undone.start()
        await connection.execute("UPDATE services SET team = 'undone'")
        await undone.rollback()

    [entry] = await entries(connection, "service_changes")
    assert (entry["id"], entry["team"]) == (pair[0], None)


async def test_an_entry_names_who_the_transaction_says_it_is(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL depgraph.principal = 'jane'")
        await insert_service(connection, "a")
    await insert_service(connection, "b")

    assert [entry["principal"] for entry in await entries(connection, "service_changes")] == ["jane", None]


async def test_copy_merge_and_on_conflict_are_noted_as_what_they_do_to_each_row(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    a, b, _ = pair
    await connection.copy_records_to_table("services", records=[("copied",)], columns=["service_id"])
    await connection.execute(
        """
        INSERT INTO services (service_id) VALUES ('a'), ('new')
        ON CONFLICT (service_id) DO UPDATE SET team = 't'
        """
    )
    noted = {
        (entry["service_id"], entry["existed"]) for entry in await entries(connection, "service_changes")
    }
    assert noted == {(None, False), ("a", True)}
    assert len(await entries(connection, "service_changes")) == 3
    if connection.get_server_version() < (15,):
        return
    await forget(connection)
    await connection.execute(
        """
        MERGE INTO services AS s
        USING (VALUES ('a'), ('b'), ('merged')) AS given (name) ON s.service_id = given.name
        WHEN MATCHED AND given.name = 'a' THEN UPDATE SET team = 'm'
        WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED THEN INSERT (service_id) VALUES (given.name)
        """
    )
    merged = {entry["id"]: entry for entry in await entries(connection, "service_changes")}
    assert len(merged) == 3
    assert (merged.pop(a)["team"], merged.pop(b)["service_id"]) == ("t", "b")
    assert [entry["existed"] for entry in merged.values()] == [False]


async def test_truncate_with_a_fixed_snapshot_may_not_see_all_rows_and_is_a_hole(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("TRUNCATE service_aliases")

    assert await entries(connection, "alias_changes") == []
    assert await connection.fetchval("SELECT depgraph_history.count_of_holes()") == 1


async def test_the_entries_of_a_row_are_in_the_order_of_its_changes(
    connection: Connection, pair: tuple[UUID, UUID, UUID]
) -> None:
    for team in ("1", "2", "3"):
        await connection.execute("UPDATE services SET team = $1 WHERE service_id = 'a'", team)
    await connection.execute("DELETE FROM services WHERE service_id = 'a'")

    assert [entry["team"] for entry in await entries(connection, "service_changes")] == [None, "1", "2", "3"]
