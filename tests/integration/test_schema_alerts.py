"""The circular_dependency_alerts table keeps its rules by itself, whoever writes to it."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import pytest

from server.domain.alerts import ALERT_STATUSES, Alert
from tests.support.plain_sql import definitions_of_indexes, insert

TABLE = "circular_dependency_alerts"
ALERT = {"cycle_path": """'["cart", "redis"]'"""}
THOUSAND = [f"service-{number}" for number in range(1000)]


@pytest.fixture
def connection(shared_connection: asyncpg.Connection) -> asyncpg.Connection:
    return shared_connection


async def raise_alert(connection: asyncpg.Connection, cycle_path: Sequence[object]) -> None:
    """Write an alert for a cycle."""
    await connection.execute(f"INSERT INTO {TABLE} (cycle_path) VALUES ($1)", json.dumps(cycle_path))


def rotated(names: Sequence[str], places: int) -> list[str]:
    """Write the same cycle from another of its services."""
    return [*names[places:], *names[:places]]


def fingerprint(names: Sequence[str]) -> bytes:
    """Digest a cycle as documented, without the database."""
    smallest = min(range(len(names)), key=lambda place: names[place].encode())
    digests = [hashlib.sha256(name.encode()).digest() for name in rotated(names, smallest)]
    return hashlib.sha256(b"".join(digests)).digest()


async def test_an_alert_given_only_its_cycle_is_open(connection: asyncpg.Connection) -> None:
    row = await insert(connection, TABLE, **ALERT)

    assert (*row.keys(), "members") == Alert._fields
    assert (row["cycle_path"], row["status"]) == ('["cart", "redis"]', "open")
    assert (row["acknowledged_by"], row["resolution_notes"]) == (None, None)
    assert (row["size"], row["detected"], row["is_present"]) == (0, False, False)
    assert row["updated_at"] == row["detected_at"]
    assert abs(row["detected_at"] - datetime.now(UTC)).days == 0


@pytest.mark.parametrize("status", ALERT_STATUSES)
async def test_every_status_of_the_domain_is_stored(connection: asyncpg.Connection, status: str) -> None:
    assert (await insert(connection, TABLE, **ALERT, status=f"'{status}'"))["status"] == status


@pytest.mark.parametrize(
    ("column", "literal", "constraint"),
    [
        ("status", "'closed'", "ck_alert_status"),
        ("status", "''", "ck_alert_status"),
        ("acknowledged_by", "''", "ck_alert_acknowledged_by"),
        ("detected_at", "'infinity'", "ck_alert_detected_at_range"),
        ("detected_at", "'-infinity'", "ck_alert_detected_at_range"),
        ("detected_at", "'10000-01-01 00:00:00+00'", "ck_alert_detected_at_range"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    connection: asyncpg.Connection, column: str, literal: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(connection, TABLE, **(ALERT | {column: literal}))

    assert refused.value.constraint_name == constraint


@pytest.mark.parametrize(
    "column", ["id", "cycle_path", "status", "detected_at", "size", "detected", "is_present", "updated_at"]
)
async def test_a_column_without_a_value_is_refused(connection: asyncpg.Connection, column: str) -> None:
    with pytest.raises(asyncpg.NotNullViolationError) as refused:
        await insert(connection, TABLE, **(ALERT | {column: "NULL"}))

    assert refused.value.column_name == column


async def test_whoever_acknowledged_has_at_most_255_characters(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await insert(connection, TABLE, **ALERT, acknowledged_by=f"'{'x' * 256}'")


@pytest.mark.parametrize(
    "cycle_path",
    [
        [],
        ["a"],
        ["a", "a"],
        ["a", "b", "a"],
        ["a", ""],
        ["a", 1],
        ["a", None],
        ["a", ["b"]],
        ["a", {"b": "c"}],
        [["a", "b"]],
        {"a": "b"},
        "a",
        7,
        None,
        ["a", "x" * 256],
    ],
    ids=lambda path: json.dumps(path)[:20],
)
async def test_what_is_no_cycle_is_refused(
    connection: asyncpg.Connection, cycle_path: Sequence[object]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await raise_alert(connection, cycle_path)

    assert refused.value.constraint_name == "ck_cycle_path"


async def test_a_name_of_255_characters_fits_into_a_cycle(connection: asyncpg.Connection) -> None:
    await raise_alert(connection, ["a", "\N{SNOWMAN}" * 255])

    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}") == 1


@pytest.mark.parametrize("places", [0, 1, 2])
@pytest.mark.parametrize(
    "names", [("a", "b", "c"), ("b", "A", "a"), ("Ä", "z", "a b"), ("\U0001f600", "\uffee", "~")]
)
async def test_a_cycle_has_one_alert_whichever_service_it_is_written_from(
    connection: asyncpg.Connection, names: Sequence[str], places: int
) -> None:
    await raise_alert(connection, names)

    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await raise_alert(connection, rotated(names, places))

    assert refused.value.constraint_name == "uq_cycle_path"


async def test_a_cycle_of_a_thousand_services_has_one_alert_too(connection: asyncpg.Connection) -> None:
    await raise_alert(connection, THOUSAND)

    with pytest.raises(asyncpg.UniqueViolationError):
        await raise_alert(connection, rotated(THOUSAND, 617))


async def test_a_thousand_services_called_in_another_order_are_another_cycle(
    connection: asyncpg.Connection,
) -> None:
    await raise_alert(connection, THOUSAND)
    await raise_alert(connection, THOUSAND[::-1])
    await raise_alert(connection, [*THOUSAND[:-2], THOUSAND[-1], THOUSAND[-2]])

    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}") == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b", "c"], ["a", "c", "b"]),
        (["a", "b"], ["a", "b", "c"]),
        (["ab", "c"], ["a", "bc"]),
        (["a,b", "c"], ["a", "b,c"]),
        (['a", "b', "c"], ["a", "b", "c"]),
        (["a", "B"], ["a", "b"]),
        (["é", "a"], ["e\N{COMBINING ACUTE ACCENT}", "a"]),
    ],
)
async def test_different_cycles_have_alerts_of_their_own(
    connection: asyncpg.Connection, one: Sequence[str], other: Sequence[str]
) -> None:
    await raise_alert(connection, one)
    await raise_alert(connection, other)

    assert await connection.fetchval(f"SELECT count(*) FROM {TABLE}") == 2


async def test_an_alert_may_not_be_turned_into_another_that_exists(connection: asyncpg.Connection) -> None:
    await raise_alert(connection, ["a", "b", "c"])
    await raise_alert(connection, ["d", "e"])

    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            f"""UPDATE {TABLE} SET cycle_path = '["c", "a", "b"]' WHERE cycle_path = '["d", "e"]'"""
        )


@pytest.mark.parametrize(
    "names", [["a", "b"], ["b", "A", "a"], ["Ä", "z", "a b"], ['"', "\\", "\U0001f600"], THOUSAND]
)
async def test_the_fingerprint_is_the_documented_digest(
    connection: asyncpg.Connection, names: Sequence[str]
) -> None:
    digest = await connection.fetchval("SELECT cycle_fingerprint($1)", json.dumps(names))

    assert digest == fingerprint(names)


async def test_the_fingerprint_works_under_any_search_path(connection: asyncpg.Connection) -> None:
    await connection.execute("SET search_path = ''")

    assert await connection.fetchval("""SELECT public.cycle_fingerprint('["a", "b"]')""") == fingerprint(
        ["a", "b"]
    )
    await connection.execute(f"""INSERT INTO public.{TABLE} (cycle_path) VALUES ('["a", "b"]')""")


async def test_every_index_is_there_with_its_predicate(connection: asyncpg.Connection) -> None:
    live = "WHERE (status = ANY (ARRAY['open'::text, 'acknowledged'::text]))"
    assert await definitions_of_indexes(connection, TABLE) == {
        "circular_dependency_alerts_pkey": "UNIQUE (id)",
        "uq_cycle_path": "UNIQUE (cycle_fingerprint(cycle_path))",
        "idx_circular_deps_status": f"(status, detected_at DESC, id DESC) {live}",
        "idx_circular_deps_detected_at": "(detected_at DESC, id DESC)",
        "idx_circular_deps_cycle_path": "gin (cycle_path jsonb_path_ops) WHERE (NOT detected)",
    }
