"""The service_dependencies table keeps its rules by itself, whoever writes to it."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.domain.dependencies import (
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    DependencyRow,
)
from tests.support.plain_sql import definitions_of_indexes, insert, insert_service

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NULLABLE = ("protocol", "timeout_ms", "retry_config")
REQUIRED = tuple(name for name in DependencyRow._fields if name not in ("source", "target", *NULLABLE))


@pytest.fixture
def connection(shared_connection: asyncpg.Connection) -> asyncpg.Connection:
    return shared_connection


class Ends(NamedTuple):
    """Two services, the first of which calls the second."""

    source: UUID
    target: UUID


@pytest.fixture
async def ends(connection: asyncpg.Connection) -> Ends:
    return Ends(await insert_service(connection, "cart"), await insert_service(connection, "redis"))


async def depend(connection: asyncpg.Connection, ends: Ends, **literals: str) -> asyncpg.Record:
    """Let one service call another; further columns are SQL literals."""
    given = {
        "source_service_id": f"'{ends.source}'",
        "target_service_id": f"'{ends.target}'",
        "communication_mode": "'sync'",
    }
    return await insert(connection, "service_dependencies", **(given | literals))


async def test_a_dependency_given_its_ends_and_mode_gets_the_documented_defaults(
    connection: asyncpg.Connection, ends: Ends
) -> None:
    row = await depend(connection, ends)

    fields = ("id", "source_service_id", "target_service_id", *DependencyRow._fields[3:])
    assert tuple(row.keys()) == (*fields, "reported_confidence")
    assert row["reported_confidence"] is None
    stored = DependencyRow(*tuple(row)[:-1])
    assert stored == DependencyRow(
        id=stored.id,
        source=ends.source,
        target=ends.target,
        communication_mode="sync",
        criticality="hard",
        protocol=None,
        timeout_ms=None,
        retry_config=None,
        discovery_source="manual",
        confidence_score=1.0,
        last_observed_at=stored.created_at,
        is_stale=False,
        created_at=stored.created_at,
        updated_at=stored.created_at,
    )
    assert abs(stored.created_at - datetime.now(UTC)).days == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("communication_mode", mode) for mode in COMMUNICATION_MODES),
        *(("criticality", criticality) for criticality in DEPENDENCY_CRITICALITIES),
        *(("discovery_source", source) for source in DISCOVERY_SOURCES),
        ("confidence_score", 0.0),
        ("confidence_score", 1.0),
        ("timeout_ms", 1),
        ("timeout_ms", 2**31 - 1),
        ("retry_config", '{"max_attempts": 3}'),
        pytest.param("protocol", "\N{SNOWMAN}" * 50, id="protocol of 50 characters"),
    ],
)
async def test_a_value_within_its_bounds_is_stored(
    connection: asyncpg.Connection, ends: Ends, column: str, value: object
) -> None:
    assert (await depend(connection, ends, **{column: f"'{value}'"}))[column] == value


@pytest.mark.parametrize(
    ("column", "literal", "constraint"),
    [
        ("communication_mode", "'batch'", "ck_communication_mode"),
        ("communication_mode", "''", "ck_communication_mode"),
        ("criticality", "'critical'", "ck_dependency_criticality"),
        ("discovery_source", "'guess'", "ck_discovery_source"),
        ("confidence_score", "-0.001", "ck_confidence_score_bounds"),
        ("confidence_score", "1.001", "ck_confidence_score_bounds"),
        ("confidence_score", "'NaN'", "ck_confidence_score_bounds"),
        ("confidence_score", "'Infinity'", "ck_confidence_score_bounds"),
        ("confidence_score", "'-Infinity'", "ck_confidence_score_bounds"),
        ("timeout_ms", "0", "ck_timeout_positive"),
        ("timeout_ms", "-1", "ck_timeout_positive"),
        ("retry_config", "'[]'", "ck_retry_config_object"),
        ("retry_config", "'null'", "ck_retry_config_object"),
        ("retry_config", "'3'", "ck_retry_config_object"),
        ("last_observed_at", "'infinity'", "ck_deps_last_observed_at_range"),
        ("last_observed_at", "'-infinity'", "ck_deps_last_observed_at_range"),
        ("last_observed_at", "'10000-01-01 00:00:00+00'", "ck_deps_last_observed_at_range"),
        ("created_at", "'infinity'", "ck_deps_created_at_range"),
        ("updated_at", "'-infinity'", "ck_deps_updated_at_range"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    connection: asyncpg.Connection, ends: Ends, column: str, literal: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await depend(connection, ends, **{column: literal})

    assert refused.value.constraint_name == constraint


async def test_a_protocol_of_51_characters_is_refused(connection: asyncpg.Connection, ends: Ends) -> None:
    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await depend(connection, ends, protocol=f"'{'x' * 51}'")


@pytest.mark.parametrize("column", ["source_service_id", "target_service_id", *REQUIRED])
async def test_a_column_without_a_value_is_refused(
    connection: asyncpg.Connection, ends: Ends, column: str
) -> None:
    with pytest.raises(asyncpg.NotNullViolationError) as refused:
        await depend(connection, ends, **{column: "NULL"})

    assert refused.value.column_name == column


async def test_the_communication_mode_has_to_be_given(connection: asyncpg.Connection, ends: Ends) -> None:
    with pytest.raises(asyncpg.NotNullViolationError):
        await depend(connection, ends, communication_mode="DEFAULT")


async def test_a_service_may_not_depend_on_itself(connection: asyncpg.Connection, ends: Ends) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await depend(connection, Ends(ends.source, ends.source))

    assert refused.value.constraint_name == "ck_no_self_loops"


async def test_a_dependency_may_not_be_turned_into_a_self_loop(
    connection: asyncpg.Connection, ends: Ends
) -> None:
    await depend(connection, ends)

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await connection.execute("UPDATE service_dependencies SET target_service_id = source_service_id")

    assert refused.value.constraint_name == "ck_no_self_loops"


@pytest.mark.parametrize(
    ("end", "constraint"),
    [("source_service_id", "fk_source_service"), ("target_service_id", "fk_target_service")],
)
async def test_both_ends_have_to_exist(
    connection: asyncpg.Connection, ends: Ends, end: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        await depend(connection, ends, **{end: f"'{uuid4()}'"})

    assert refused.value.constraint_name == constraint


async def test_a_source_reports_an_edge_once(connection: asyncpg.Connection, ends: Ends) -> None:
    await depend(connection, ends)

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await depend(connection, ends, communication_mode="'async'")

    assert refused.value.constraint_name == "uq_edge_per_source"


async def test_each_discovery_source_and_each_direction_has_an_edge_of_its_own(
    connection: asyncpg.Connection, ends: Ends
) -> None:
    for source in DISCOVERY_SOURCES:
        await depend(connection, ends, discovery_source=f"'{source}'")
    await depend(connection, Ends(ends.target, ends.source))

    assert (
        await connection.fetchval("SELECT count(*) FROM service_dependencies") == len(DISCOVERY_SOURCES) + 1
    )


@pytest.mark.parametrize("stale", ["true", "false"])
async def test_a_deleted_service_takes_its_dependencies_along_and_no_others(
    connection: asyncpg.Connection, ends: Ends, stale: str
) -> None:
    shop = await insert_service(connection, "shop")
    await depend(connection, Ends(shop, ends.source), is_stale=stale)
    await depend(connection, ends, is_stale=stale)
    kept = await depend(connection, Ends(shop, ends.target), is_stale=stale)

    await connection.execute("DELETE FROM services WHERE id = $1", ends.source)

    left = await connection.fetch("SELECT id FROM service_dependencies")
    assert [row["id"] for row in left] == [kept["id"]]


@pytest.mark.parametrize(
    "change",
    [
        "communication_mode = 'async'",
        "is_stale = true",
        "confidence_score = '-0.0'",
        """retry_config = '{"backoff_factor": 2.0}'""",
        "last_observed_at = now()",
        "updated_at = '2019-01-01 00:00:00+00'",
    ],
)
async def test_a_change_sets_the_time_of_the_update(
    connection: asyncpg.Connection, ends: Ends, change: str
) -> None:
    long_ago = f"'{LONG_AGO}'"
    await depend(
        connection,
        ends,
        confidence_score="0",
        retry_config="""'{"backoff_factor": 2}'""",
        last_observed_at=long_ago,
        updated_at=long_ago,
    )

    async with connection.transaction():
        updated_at = await connection.fetchval(
            f"UPDATE service_dependencies SET {change} RETURNING updated_at"
        )
        now = await connection.fetchval("SELECT now()")

    assert updated_at == now


async def test_an_update_that_changes_nothing_leaves_the_time_alone(
    connection: asyncpg.Connection, ends: Ends
) -> None:
    await depend(connection, ends, updated_at=f"'{LONG_AGO}'")

    await connection.execute(
        "UPDATE service_dependencies SET is_stale = false, last_observed_at = last_observed_at"
    )

    assert await connection.fetchval("SELECT updated_at FROM service_dependencies") == LONG_AGO


async def test_every_index_is_there_with_its_predicate(connection: asyncpg.Connection) -> None:
    assert await definitions_of_indexes(connection, "service_dependencies") == {
        "service_dependencies_pkey": "UNIQUE (id)",
        "uq_edge_per_source": "UNIQUE (source_service_id, target_service_id, discovery_source)",
        "idx_deps_source": "(source_service_id) WHERE (NOT is_stale)",
        "idx_deps_target": "(target_service_id) WHERE (NOT is_stale)",
        "idx_deps_source_target": "(source_service_id, target_service_id)",
        "idx_deps_target_source": "(target_service_id, source_service_id)",
        "idx_deps_discovery_source": "(discovery_source)",
        "idx_deps_last_observed": "(last_observed_at)",
        "idx_deps_stale": "(last_observed_at) WHERE is_stale",
        "idx_deps_created_at": "(created_at DESC, id DESC)",
        "idx_deps_decayed": "(discovery_source) WHERE (reported_confidence IS NOT NULL)",
    }
