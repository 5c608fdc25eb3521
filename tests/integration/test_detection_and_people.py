"""Alerts that people acknowledge, resolve, create and tamper with while detection keeps them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from server.config import DetectionSettings
from tests.support.alert_story import NAMES, Story, begun_story
from tests.support.detecting import (
    QUICK,
    StoredAlert,
    add_services,
    alerts_are_caught_up,
    call,
    cut,
    detecting,
    ring,
    stored_alerts,
    stored_events,
)
from tests.support.eventually import PATIENCE_SECONDS


@pytest.fixture
async def story(database_url: str, connection: asyncpg.Connection) -> AsyncIterator[Story]:
    async with begun_story(database_url, connection) as beginning:
        yield beginning


async def until(
    look: Callable[[], Awaitable[list[StoredAlert]]], wanted: Callable[[list[StoredAlert]], bool]
) -> None:
    """Look until something is as wanted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not wanted(await look()):
            await asyncio.sleep(0.01)


async def test_an_acknowledged_alert_stays_so_while_its_component_lives_on_under_another_witness(
    story: Story,
) -> None:
    await ring(story.connection, "a", "b")
    alert = await story.alert()
    await story.repository.acknowledge(alert.id, "ann")
    await ring(story.connection, "b", "c", "d")
    # Changes in one step: a, b and then b, c, d would be two components with one common service.
    await story.alerts()
    await cut(story.connection, "b", "a")
    await call(story.connection, "d", "a")
    now = await story.alert()
    assert (now.id, now.status, now.acknowledged_by) == (alert.id, "acknowledged", "ann")
    assert (now.cycle_path, now.members) == (("b", "c", "d"), tuple("abcd"))
    assert "witness_changed" in await story.history(alert.id)


async def test_a_resolved_alert_stays_resolved_until_its_component_grows(story: Story) -> None:
    await ring(story.connection, "a", "b", "c")
    alert = await story.alert()
    await story.repository.resolve(alert.id, "by design")
    await call(story.connection, "b", "a")
    decided = await story.alert()
    assert (decided.status, decided.resolution_notes) == ("resolved", "by design")
    await ring(story.connection, "c", "d")
    grown = await story.alert()
    assert (grown.id, grown.status, grown.acknowledged_by) == (alert.id, "open", None)
    assert (await story.history(alert.id))[-2:] == ["reopened", "grown"]


async def test_a_resolved_alert_reopens_when_its_cycle_goes_and_comes_back(story: Story) -> None:
    await ring(story.connection, "a", "b")
    alert = await story.alert()
    await story.repository.resolve(alert.id, "by design")
    await cut(story.connection, "a", "b")
    gone = await story.alert()
    assert (gone.status, gone.resolution_notes, gone.is_present) == ("resolved", "by design", False)
    await call(story.connection, "a", "b")
    back = await story.alert()
    assert (back.id, back.status) == (alert.id, "open")
    assert await story.history(alert.id) == ["opened", "resolved", "gone", "reopened"]


async def test_a_created_alert_is_adopted_when_its_cycle_is_found(story: Story) -> None:
    created = (await story.repository.create(["c", "a", "b"])).value
    left_alone = (await story.repository.create(["g", "h"])).value
    await story.repository.acknowledge(created.id, "ann")
    await ring(story.connection, "a", "b", "c")
    alerts = {alert.id: alert for alert in await story.alerts()}
    assert alerts.keys() == {created.id, left_alone.id}
    alert = alerts[created.id]
    assert (alert.status, alert.acknowledged_by, alert.detected) == ("acknowledged", "ann", True)
    assert alert.cycle_path == ("a", "b", "c")
    assert not alerts[left_alone.id].detected
    assert await story.history(created.id) == ["opened", "acknowledged", "found"]


async def test_changes_of_the_alert_tables_by_sql_are_repaired(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await add_services(connection, *NAMES)
    await ring(connection, "a", "b", "c")
    settings = DetectionSettings(reconcile_interval=timedelta(milliseconds=50))
    async with detecting(database_url, settings) as keeper:
        await alerts_are_caught_up([keeper])
        (before,) = await stored_alerts(connection)
        await connection.execute("DELETE FROM circular_dependency_alert_members WHERE service_id = 'b'")
        await connection.execute(
            'UPDATE circular_dependency_alerts SET size = 7, cycle_path = \'["a", "h"]\''
        )
        await until(lambda: stored_alerts(connection), lambda alerts: alerts == [before])
        await connection.execute("DELETE FROM circular_dependency_alerts")
        await until(lambda: stored_alerts(connection), bool)
        (anew,) = await stored_alerts(connection)
    assert anew.cycle_path == before.cycle_path
    assert anew.id != before.id


async def test_only_one_of_two_replicas_writes_and_the_other_takes_over(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await add_services(connection, *NAMES)
    async with detecting(database_url, QUICK) as second:
        async with detecting(database_url, QUICK) as first:
            await ring(connection, "a", "b")
            await alerts_are_caught_up([first, second])
            assert [first.detection.is_writer, second.detection.is_writer].count(True) == 1
            writer = first if first.detection.is_writer else second
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'depgraph detection'"
            )
            await ring(connection, "c", "d")
            await alerts_are_caught_up([first, second])
            assert len(await stored_alerts(connection)) == 2
            assert writer.detection.vitals.failures <= 1
        await cut(connection, "a", "b")
        await alerts_are_caught_up([second])
    statuses = {alert.members: alert.status for alert in await stored_alerts(connection)}
    assert statuses == {("a", "b"): "resolved", ("c", "d"): "open"}
    assert [event.kind for event in await stored_events(connection)] == ["opened", "opened", "resolved"]
