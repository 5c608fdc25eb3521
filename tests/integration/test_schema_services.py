"""The services table keeps its rules by itself, whoever writes to it."""

from datetime import UTC, datetime

import asyncpg
import pytest

from server.domain.services import NAME_MAX_LENGTH, SERVICE_CRITICALITIES, Service
from tests.support.plain_sql import definitions_of_indexes, insert, insert_service

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
REQUIRED = sorted(set(Service._fields) - {"team"})


@pytest.fixture
def connection(shared_connection: asyncpg.Connection) -> asyncpg.Connection:
    return shared_connection


async def test_a_service_given_only_a_name_gets_the_documented_defaults(
    connection: asyncpg.Connection,
) -> None:
    row = await insert(connection, "services", service_id="'checkout'")

    assert tuple(row.keys()) == Service._fields
    stored = Service(*row.values())
    assert stored == Service(
        id=stored.id,
        service_id="checkout",
        metadata="{}",
        criticality="medium",
        team=None,
        discovered=False,
        created_at=stored.created_at,
        updated_at=stored.created_at,
    )
    assert abs(stored.created_at - datetime.now(UTC)).days == 0


async def test_each_service_gets_an_id_of_its_own(connection: asyncpg.Connection) -> None:
    assert await insert_service(connection, "cart") != await insert_service(connection, "checkout")


@pytest.mark.parametrize("criticality", SERVICE_CRITICALITIES)
async def test_every_criticality_of_the_domain_is_stored(
    connection: asyncpg.Connection, criticality: str
) -> None:
    row = await insert(connection, "services", service_id="'checkout'", criticality=f"'{criticality}'")

    assert row["criticality"] == criticality


@pytest.mark.parametrize(
    ("column", "literal", "constraint"),
    [
        ("service_id", "''", "ck_services_service_id_not_empty"),
        ("criticality", "'urgent'", "ck_services_criticality"),
        ("criticality", "''", "ck_services_criticality"),
        ("criticality", "'Critical'", "ck_services_criticality"),
        ("kind", "'cache'", "ck_services_kind"),
        ("kind", "''", "ck_services_kind"),
        ("metadata", "'[]'", "ck_services_metadata_object"),
        ("metadata", "'null'", "ck_services_metadata_object"),
        ("metadata", "'\"text\"'", "ck_services_metadata_object"),
        ("metadata", "'1'", "ck_services_metadata_object"),
        ("created_at", "'infinity'", "ck_services_created_at_range"),
        ("created_at", "'-infinity'", "ck_services_created_at_range"),
        ("created_at", "'10000-01-01 00:00:00+00'", "ck_services_created_at_range"),
        ("created_at", "'0001-12-31 23:59:59+00 BC'", "ck_services_created_at_range"),
        ("updated_at", "'infinity'", "ck_services_updated_at_range"),
        ("updated_at", "'-infinity'", "ck_services_updated_at_range"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    connection: asyncpg.Connection, column: str, literal: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(connection, "services", **{"service_id": "'checkout'", column: literal})

    assert refused.value.constraint_name == constraint


async def test_an_update_may_not_break_a_rule_either(connection: asyncpg.Connection) -> None:
    await insert_service(connection)

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("UPDATE services SET criticality = 'urgent'")

    assert await connection.fetchval("SELECT criticality FROM services") == "medium"


@pytest.mark.parametrize("column", REQUIRED)
async def test_a_column_without_a_value_is_refused(connection: asyncpg.Connection, column: str) -> None:
    with pytest.raises(asyncpg.NotNullViolationError) as refused:
        await insert(connection, "services", **{"service_id": "'checkout'", column: "NULL"})

    assert refused.value.column_name == column


async def test_a_team_may_be_unknown(connection: asyncpg.Connection) -> None:
    row = await insert(connection, "services", service_id="'checkout'", team="NULL")

    assert row["team"] is None


@pytest.mark.parametrize("column", ["service_id", "team"])
async def test_a_name_of_255_characters_fits_and_one_more_does_not(
    connection: asyncpg.Connection, column: str
) -> None:
    fitting = "\N{SNOWMAN}" * NAME_MAX_LENGTH

    row = await insert(connection, "services", **{"service_id": "'checkout'", column: f"'{fitting}'"})
    assert row[column] == fitting

    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await insert(connection, "services", **{"service_id": "'cart'", column: f"'{fitting}x'"})


async def test_a_name_is_taken_once(connection: asyncpg.Connection) -> None:
    await insert_service(connection, "checkout")

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert_service(connection, "checkout")

    assert refused.value.constraint_name == "idx_services_service_id"


async def test_names_that_differ_in_case_are_two_services(connection: asyncpg.Connection) -> None:
    assert await insert_service(connection, "checkout") != await insert_service(connection, "Checkout")


async def test_an_id_is_taken_once(connection: asyncpg.Connection) -> None:
    taken = await insert_service(connection, "checkout")

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await insert_service(connection, "cart", id=f"'{taken}'")

    assert refused.value.constraint_name == "services_pkey"


@pytest.mark.parametrize(
    "change",
    [
        "service_id = 'cart'",
        """metadata = '{"a": 1.0}'""",
        "criticality = 'low'",
        "team = 'payments'",
        "discovered = true",
        "created_at = '2019-01-01 00:00:00+00'",
        "updated_at = '2019-01-01 00:00:00+00'",
    ],
)
async def test_a_change_sets_the_time_of_the_update(connection: asyncpg.Connection, change: str) -> None:
    await insert_service(connection, metadata="""'{"a": 1}'""", updated_at=f"'{LONG_AGO}'")

    async with connection.transaction():
        updated_at = await connection.fetchval(f"UPDATE services SET {change} RETURNING updated_at")
        now = await connection.fetchval("SELECT now()")

    assert updated_at == now


async def test_an_update_that_changes_nothing_leaves_the_time_alone(connection: asyncpg.Connection) -> None:
    await insert_service(connection, updated_at=f"'{LONG_AGO}'")

    await connection.execute(
        "UPDATE services SET team = team, metadata = metadata || '{}', discovered = false"
    )

    assert await connection.fetchval("SELECT updated_at FROM services") == LONG_AGO


async def test_every_index_is_there_with_its_predicate(connection: asyncpg.Connection) -> None:
    assert await definitions_of_indexes(connection, "services") == {
        "services_pkey": "UNIQUE (id)",
        "idx_services_service_id": "UNIQUE (service_id)",
        "idx_services_team": "(team) WHERE (team IS NOT NULL)",
        "idx_services_criticality": "(criticality)",
        "idx_services_discovered": "(created_at DESC, id DESC) WHERE discovered",
        "idx_services_created_at": "(created_at DESC, id DESC)",
    }
