"""The database keeps the life of an alert and writes its history, whoever writes to it."""

import itertools
import string
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest

from server.domain.alerts import ALERT_STATUSES
from tests.support.plain_sql import connected, insert

ALERTS = "circular_dependency_alerts"
EVENTS = "circular_dependency_alert_events"
REFUSALS = {"ck_alert_life_cycle", "ck_alert_acknowledged_by", "ck_alert_resolution_notes"}


class State(NamedTuple):
    """What a person may change of an alert."""

    status: str
    acknowledged_by: str | None
    resolution_notes: str | None


def states(names: tuple[str | None, ...], notes: tuple[str | None, ...]) -> Iterator[State]:
    return (State(*chosen) for chosen in itertools.product(ALERT_STATUSES, names, notes))


def says_something(text: str | None) -> bool:
    return text is not None and bool(text.strip())


def is_allowed(old: State, new: State, *, found_again: bool) -> bool:
    """Decide as the contract does, by a table."""
    adds_no_notes = new.resolution_notes in (old.resolution_notes, None)
    reopened = found_again and new.resolution_notes is None
    resolved = says_something(new.resolution_notes) and (
        new.acknowledged_by == old.acknowledged_by or says_something(new.acknowledged_by)
    )
    acknowledged = adds_no_notes and says_something(new.acknowledged_by)
    return (new == old) or {
        ("open", "open"): adds_no_notes and new.acknowledged_by == old.acknowledged_by,
        ("open", "acknowledged"): acknowledged,
        ("open", "resolved"): resolved,
        ("acknowledged", "open"): False,
        ("acknowledged", "acknowledged"): acknowledged,
        ("acknowledged", "resolved"): resolved,
        ("resolved", "open"): reopened and new.acknowledged_by is None,
        ("resolved", "acknowledged"): reopened and says_something(new.acknowledged_by),
        ("resolved", "resolved"): False,
    }[old.status, new.status]


def event_of(old: State, new: State) -> list[tuple[str, str | None, str]]:
    """Say which event such a change is: kind, actor, note."""
    if (old.status, old.acknowledged_by) == (new.status, new.acknowledged_by):
        return []
    if old.status == "resolved":
        return [("reopened", None, "")]
    if new.status == "acknowledged":
        return [("acknowledged", new.acknowledged_by, "")]
    return [("resolved", None, new.resolution_notes or "")]


async def history(connection: asyncpg.Connection, alert: UUID) -> list[tuple[str, str | None, str]]:
    rows = await connection.fetch(
        f"SELECT kind, actor, note FROM {EVENTS} WHERE alert_id = $1 ORDER BY id", alert
    )
    return [tuple(row) for row in rows]


async def changed(connection: asyncpg.Connection, old: State, new: State, *, found_again: bool) -> bool:
    """
    Try a change on a new alert, read its history and roll back.

    Returns whether the database allowed the change.
    """
    attempt = connection.transaction()
    await attempt.start()
    try:
        alert: UUID = await connection.fetchval(
            f"""INSERT INTO {ALERTS} (cycle_path, status, acknowledged_by, resolution_notes)
            VALUES ('["a", "b"]', $1, $2, $3) RETURNING id""",
            *old,
        )
        await connection.execute(
            f"""UPDATE {ALERTS} SET status = $2, acknowledged_by = $3, resolution_notes = $4,
            detected = $5, is_present = $5 WHERE id = $1""",
            alert,
            *new,
            found_again,
        )
        assert await history(connection, alert) == [
            ("opened", None, (old.resolution_notes or "") if old.status == "resolved" else ""),
            *event_of(old, new),
        ]
    except asyncpg.CheckViolationError as refused:
        assert refused.constraint_name in REFUSALS
        assert refused.table_name == ALERTS
        return False
    else:
        return True
    finally:
        await attempt.rollback()


@pytest.mark.parametrize("found_again", [False, True])
async def test_a_life_goes_its_way_and_no_other(connection: asyncpg.Connection, *, found_again: bool) -> None:
    for old in states((None, "ann"), (None, "done")):
        for new in states((None, "ann", "ben", " \t"), (None, "done", "gone", "\n ")):
            expected = is_allowed(old, new, found_again=found_again)
            assert await changed(connection, old, new, found_again=found_again) is expected, (old, new)


@pytest.mark.parametrize(
    "text", [*" \t\n\v\f\r", " \n ", *"btnvfrx0", "\\", "'", " x ", "\N{NO-BREAK SPACE}"]
)
async def test_blank_is_what_holds_only_white_space(connection: asyncpg.Connection, text: str) -> None:
    is_blank = not text.strip(string.whitespace)
    for old in (State("open", None, None), State("acknowledged", "ann", None)):
        for new in (State("acknowledged", text, None), State("resolved", old.acknowledged_by, text)):
            assert await changed(connection, old, new, found_again=False) is not is_blank


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("status = 'acknowledged'", "acknowledged_by must say who looks after it, and must not be blank"),
        ("status = 'resolved'", "resolution_notes must say how it ended, and must not be blank"),
        (
            "acknowledged_by = 'ann'",
            "acknowledged_by is written when status becomes acknowledged, not before",
        ),
        ("resolution_notes = 'x'", "resolution_notes are written when status becomes resolved, not before"),
    ],
)
async def test_what_is_refused_is_refused_with_the_reason(
    connection: asyncpg.Connection, change: str, message: str
) -> None:
    alert = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'"""))["id"]

    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await connection.execute(f"UPDATE {ALERTS} SET {change}")

    assert str(refused.value) == f"alert {alert}: {message}"


async def test_an_alert_is_not_opened_again_by_hand(connection: asyncpg.Connection) -> None:
    await insert(connection, ALERTS, cycle_path="""'["a", "b"]'""", status="'resolved'", detected="true")

    with pytest.raises(asyncpg.CheckViolationError, match="only detection reopens an alert"):
        await connection.execute(f"UPDATE {ALERTS} SET status = 'open', resolution_notes = NULL")


@pytest.mark.parametrize("search_path", ["''", "pg_temp", "public"])
async def test_the_rules_hold_under_any_search_path(connection: asyncpg.Connection, search_path: str) -> None:
    await connection.execute(f"SET search_path = {search_path}")
    alert = (await insert(connection, f"public.{ALERTS}", cycle_path="""'["a", "b"]'"""))["id"]

    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(f"UPDATE public.{ALERTS} SET status = 'resolved'")

    assert await connection.fetchval(f"SELECT alert_id FROM public.{EVENTS}") == alert


async def test_detection_writes_its_events_itself(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL depgraph.alert_events = 'written'")
        alert = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'""", detected="true"))["id"]
    assert await history(connection, alert) == []

    await connection.execute(f"UPDATE {ALERTS} SET status = 'acknowledged', acknowledged_by = 'ann'")
    assert await history(connection, alert) == [("acknowledged", "ann", "")]


async def test_an_event_tells_how_the_alert_was_afterwards(connection: asyncpg.Connection) -> None:
    await insert(connection, ALERTS, cycle_path="""'["a", "b"]'""", size="3")
    await connection.execute(f"UPDATE {ALERTS} SET status = 'resolved', resolution_notes = 'cut'")

    rows = await connection.fetch(f"SELECT kind, status, cycle_path, size FROM {EVENTS} ORDER BY id")

    assert [tuple(row) for row in rows] == [
        ("opened", "open", '["a", "b"]', 3),
        ("resolved", "resolved", '["a", "b"]', 3),
    ]


async def test_the_time_of_the_last_change_is_kept(connection: asyncpg.Connection) -> None:
    first = (await insert(connection, ALERTS, cycle_path="""'["a", "b"]'"""))["updated_at"]

    await connection.execute(f"UPDATE {ALERTS} SET size = 0")
    assert await connection.fetchval(f"SELECT updated_at FROM {ALERTS}") == first
    await connection.execute(f"UPDATE {ALERTS} SET size = 4")
    assert await connection.fetchval(f"SELECT updated_at FROM {ALERTS}") > first


async def test_who_may_write_alerts_writes_their_history(
    connection: asyncpg.Connection, database_url: str
) -> None:
    role = f"writer_{UUID(bytes=(await connection.fetchval('SELECT uuid_send(gen_random_uuid())'))).hex}"
    await connection.execute(f"CREATE ROLE {role}; GRANT INSERT, SELECT ON {ALERTS} TO {role}")
    try:
        async with connected(database_url) as other:
            await other.execute(f"SET ROLE {role}")
            alert = (await insert(other, ALERTS, cycle_path="""'["a", "b"]'"""))["id"]
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await other.execute(f"DELETE FROM {EVENTS}")
        assert await history(connection, alert) == [("opened", None, "")]
    finally:
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
