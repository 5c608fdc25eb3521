"""Alerts that callers with an identity write: whose name stands in them, and in their history."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from depgraph.v1 import alert_service_pb2 as pb
from server.config import Limits
from server.domain.caller import ANYONE, Caller, acting_as
from server.domain.errors import InvalidInputError, PermissionDeniedError
from server.rpc.alert import AlertServicer
from server.store.alerts import AlertRepository
from server.store.database import Database
from server.store.migrate import downgrade, upgrade

ANN = Caller("ann", frozenset({"operator"}))
BEN = Caller("ben", frozenset({"operator"}))
ROOT = Caller("root", frozenset({"admin"}))
ENDED = "cut a > b"

Acknowledge = Callable[[Caller, str], Awaitable[str]]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        yield database


@pytest.fixture
def servicer(database: Database) -> AlertServicer:
    return AlertServicer(AlertRepository(database), Limits())


@pytest.fixture
async def alert(servicer: AlertServicer) -> str:
    """An alert that Ann opened."""
    with acting_as(ANN):
        return (
            await servicer.CreateAlert(pb.CreateAlertRequest(cycle_path=["a", "b"]), no_context())
        ).alert.id


def no_context() -> Any:
    return cast("Any", None)


@pytest.fixture
def acknowledge(servicer: AlertServicer, alert: str) -> Acknowledge:
    """Acknowledge the alert as a caller, by a name that may be empty; returns the name stored."""

    async def call(caller: Caller, name: str = "") -> str:
        request = pb.AcknowledgeAlertRequest(id=alert, acknowledged_by=name)
        with acting_as(caller):
            return (await servicer.AcknowledgeAlert(request, no_context())).alert.acknowledged_by

    return call


async def history(connection: asyncpg.Connection, alert: str) -> list[tuple[str, str | None, str]]:
    rows = await connection.fetch(
        "SELECT kind, actor, note FROM circular_dependency_alert_events WHERE alert_id = $1 ORDER BY id",
        UUID(alert),
    )
    return [(row["kind"], row["actor"], row["note"]) for row in rows]


async def test_a_name_that_is_left_out_is_the_callers(
    acknowledge: Acknowledge, alert: str, connection: asyncpg.Connection
) -> None:
    assert await acknowledge(ANN, "") == "ann"
    assert await acknowledge(BEN, "ben") == "ben"
    assert await history(connection, alert) == [
        ("opened", "ann", ""),
        ("acknowledged", "ann", ""),
        ("acknowledged", "ben", ""),
    ]


@pytest.mark.parametrize("name", ["ben", "Ann", "ann ", "an", "annn"])
async def test_only_an_admin_may_give_anothers_name(
    acknowledge: Acknowledge, alert: str, connection: asyncpg.Connection, name: str
) -> None:
    with pytest.raises(PermissionDeniedError, match="another's name") as refused:
        await acknowledge(ANN, name)
    assert [violation.field for violation in refused.value.violations] == ["acknowledged_by"]
    assert refused.value.metadata == {"role": "admin"}
    assert await history(connection, alert) == [("opened", "ann", "")]

    assert await acknowledge(ROOT, name) == name
    assert (await history(connection, alert))[1:] == [("acknowledged", "root", f"for {name}")]


async def test_without_an_identity_a_name_is_required_and_is_the_actor(
    acknowledge: Acknowledge, alert: str, connection: asyncpg.Connection
) -> None:
    with pytest.raises(InvalidInputError, match="acknowledged_by: is empty"):
        await acknowledge(ANYONE, "")
    assert await acknowledge(ANYONE, "carl") == "carl"
    assert (await history(connection, alert))[1:] == [("acknowledged", "carl", "")]


@pytest.mark.parametrize(("caller", "actor"), [(BEN, "ben"), (ANYONE, None)])
async def test_who_resolves_stands_in_the_history(
    servicer: AlertServicer, alert: str, connection: asyncpg.Connection, caller: Caller, actor: str | None
) -> None:
    with acting_as(caller):
        await servicer.ResolveAlert(pb.ResolveAlertRequest(id=alert, resolution_notes=ENDED), no_context())
    assert (await history(connection, alert))[1:] == [("resolved", actor, ENDED)]


async def test_plain_sql_may_name_its_actor_for_a_transaction(
    alert: str, connection: asyncpg.Connection
) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL depgraph.principal = 'dora'")
        await connection.execute(
            "UPDATE circular_dependency_alerts SET status = 'resolved', resolution_notes = 'by hand'"
        )
    assert (await history(connection, alert))[1:] == [("resolved", "dora", "by hand")]


async def test_the_schema_of_the_version_before_keeps_the_history_as_it_is(
    acknowledge: Acknowledge, alert: str, connection: asyncpg.Connection, database_url: str
) -> None:
    await acknowledge(ROOT, "ann")
    before = await history(connection, alert)
    await downgrade(database_url, "0009")
    await connection.execute("UPDATE circular_dependency_alerts SET acknowledged_by = 'ben'")
    await upgrade(database_url)
    assert await history(connection, alert) == [*before, ("acknowledged", "ben", "")]
