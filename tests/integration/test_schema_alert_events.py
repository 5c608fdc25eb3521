"""Members and events of alerts: what the schema takes, and what goes with the alert."""

import asyncpg
import pytest

from server.domain.alerts import ALERT_EVENT_KINDS
from tests.support.plain_sql import definitions_of_indexes, insert

ALERTS = "circular_dependency_alerts"
MEMBERS = "circular_dependency_alert_members"
EVENTS = "circular_dependency_alert_events"


@pytest.fixture
def connection(shared_connection: asyncpg.Connection) -> asyncpg.Connection:
    return shared_connection


@pytest.mark.parametrize("kind", ALERT_EVENT_KINDS)
async def test_every_kind_of_event_of_the_domain_is_stored(connection: asyncpg.Connection, kind: str) -> None:
    alert = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'"""))["id"]

    await insert(
        connection,
        EVENTS,
        alert_id=f"'{alert}'",
        kind=f"'{kind}'",
        status="'open'",
        cycle_path="""'["a", "b"]'""",
        size="2",
    )

    kinds = await connection.fetch(f"SELECT kind FROM {EVENTS} ORDER BY id")
    assert [row["kind"] for row in kinds] == ["opened", kind]


@pytest.mark.parametrize(
    ("table", "column", "literal", "constraint"),
    [
        (ALERTS, "size", "-1", "ck_alert_size"),
        (ALERTS, "updated_at", "'infinity'", "ck_alert_updated_at_range"),
        (EVENTS, "kind", "'closed'", "ck_alert_event_kind"),
        (EVENTS, "status", "'closed'", "ck_alert_event_status"),
        (EVENTS, "event_at", "'infinity'", "ck_alert_event_at_range"),
        (MEMBERS, "service_id", "''", "ck_alert_member_service_id_not_empty"),
    ],
)
async def test_a_value_out_of_bounds_is_refused(
    connection: asyncpg.Connection, table: str, column: str, literal: str, constraint: str
) -> None:
    alert = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'"""))["id"]
    path = """'["c", "d"]'"""
    rows = {
        ALERTS: {"cycle_path": path},
        EVENTS: {
            "alert_id": f"'{alert}'",
            "kind": "'grown'",
            "status": "'open'",
            "cycle_path": path,
            "size": "2",
        },
        MEMBERS: {"alert_id": f"'{alert}'", "service_id": "'c'"},
    }

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await insert(connection, table, **(rows[table] | {column: literal}))

    assert refused.value.constraint_name == constraint


async def test_members_and_history_go_with_their_alert(connection: asyncpg.Connection) -> None:
    alert = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'"""))["id"]
    await insert(connection, MEMBERS, alert_id=f"'{alert}'", service_id="'a'")

    await connection.execute(f"DELETE FROM {ALERTS}")

    assert await connection.fetchval(f"SELECT count(*) FROM {MEMBERS}") == 0
    assert await connection.fetchval(f"SELECT count(*) FROM {EVENTS}") == 0


async def test_every_index_is_there(connection: asyncpg.Connection) -> None:
    assert await definitions_of_indexes(connection, MEMBERS) == {
        "circular_dependency_alert_members_pkey": "UNIQUE (alert_id, service_id)",
        "idx_alert_members_service": "(service_id, alert_id)",
    }
    assert await definitions_of_indexes(connection, EVENTS) == {
        "circular_dependency_alert_events_pkey": "UNIQUE (id)",
        "idx_alert_events_alert": "(alert_id, id)",
    }
