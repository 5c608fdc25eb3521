"""Alerts follow the graph: what becomes of them when components come, change and go."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from server.config import DetectionSettings
from tests.support.alert_story import NAMES, Story, begun_story
from tests.support.detecting import (
    add_services,
    alerts_are_caught_up,
    alter,
    call,
    cut,
    detecting,
    ring,
    stored_alerts,
    stored_events,
)


@pytest.fixture
async def story(database_url: str, connection: asyncpg.Connection) -> AsyncIterator[Story]:
    async with begun_story(database_url, connection) as beginning:
        yield beginning


async def test_a_cycle_has_an_alert_with_a_shortest_witness_and_all_members(story: Story) -> None:
    await call(story.connection, "c", "d", "a", "b", "c")
    await call(story.connection, "b", "a", "e", "d")
    alert = await story.alert()
    assert alert.cycle_path == ("a", "b")
    assert alert.members == tuple("abcde")
    assert (alert.size, alert.status, alert.detected, alert.is_present) == (5, "open", True, True)


async def test_the_history_says_which_dependency_made_a_cycle_and_which_broke_it(story: Story) -> None:
    await call(story.connection, "a", "b", "c")
    await story.alerts()
    await call(story.connection, "c", "a")
    opened = await story.alert()
    await cut(story.connection, "b", "c")
    resolved = await story.alert()
    assert (resolved.id, resolved.status, resolved.is_present) == (opened.id, "resolved", False)
    assert resolved.resolution_notes == "the cycle is gone: b → c was removed"
    events = await stored_events(story.connection)
    assert [(event.kind, event.actor, event.note) for event in events] == [
        ("opened", "detection", "c → a was added"),
        ("resolved", "detection", "the cycle is gone: b → c was removed"),
    ]


@pytest.mark.parametrize(
    ("away", "back", "notes"),
    [
        ("is_stale = true", "is_stale = false", ("a → b went stale", "a → b is fresh again")),
        (
            "confidence_score = 0.4",
            "confidence_score = 0.5",
            ("a → b fell below the least confidence", "a → b reached the least confidence"),
        ),
    ],
)
async def test_an_alert_whose_cycle_comes_back_is_reopened_with_its_history(
    database_url: str, connection: asyncpg.Connection, away: str, back: str, notes: tuple[str, str]
) -> None:
    await add_services(connection, *NAMES)
    settings = DetectionSettings(min_confidence=0.5, takeover_interval=timedelta(milliseconds=30))
    async with detecting(database_url, settings) as keeper:
        await alerts_are_caught_up([keeper])
        await ring(connection, "a", "b")
        await alerts_are_caught_up([keeper])
        await alter(connection, "a", "b", away)
        await alerts_are_caught_up([keeper])
        (gone,) = await stored_alerts(connection)
        assert (gone.status, gone.resolution_notes) == ("resolved", f"the cycle is gone: {notes[0]}")
        await alter(connection, "a", "b", back)
        await alerts_are_caught_up([keeper])
    (alert,) = await stored_alerts(connection)
    assert (alert.id, alert.status, alert.resolution_notes) == (gone.id, "open", None)
    assert [(event.kind, event.note) for event in await stored_events(connection)][-1] == (
        "reopened",
        notes[1],
    )


async def test_the_larger_of_merging_components_keeps_its_alert_and_the_other_names_it(
    story: Story,
) -> None:
    await ring(story.connection, "a", "b")
    await ring(story.connection, "c", "d", "e")
    await story.alerts()
    await call(story.connection, "b", "c")
    await call(story.connection, "e", "a")
    small, large = sorted(await story.alerts(), key=lambda alert: alert.size)
    # The shortest cycle is that of the smaller one, so that goes on for the larger one.
    assert (small.status, large.status) == ("resolved", "open")
    assert large.members == tuple("abcde")
    assert large.cycle_path == ("a", "b")
    assert small.resolution_notes is not None
    assert small.resolution_notes.startswith(f"goes on as alert {large.id}: ")


async def test_what_merges_into_a_component_with_the_shorter_cycle_is_resolved_as_merged(
    story: Story,
) -> None:
    async with story.connection.transaction():
        await ring(story.connection, "a", "b")
        await call(story.connection, "b", "c", "a")
    await ring(story.connection, "e", "f")
    large, small = sorted(await story.alerts(), key=lambda alert: -alert.size)
    async with story.connection.transaction():
        await call(story.connection, "a", "e")
        await call(story.connection, "f", "a")
    after = {alert.id: alert for alert in await story.alerts()}
    assert after[large.id].members == tuple("abcef")
    assert after[small.id].resolution_notes == (
        f"merged into alert {large.id}: a → e was added, f → a was added"
    )
    assert await story.history(large.id) == ["opened", "merged"]
    assert await story.history(small.id) == ["opened", "resolved"]


async def test_the_largest_part_of_a_component_that_splits_keeps_the_alert(story: Story) -> None:
    async with story.connection.transaction():
        await ring(story.connection, "a", "b")
        await call(story.connection, "b", "c", "a")
        await call(story.connection, "c", "d", "e", "d")
        await call(story.connection, "e", "a")
    before = await story.alert()
    await story.repository.acknowledge(before.id, "ann")
    await cut(story.connection, "c", "d")
    large, small = sorted(await story.alerts(), key=lambda alert: -alert.size)
    assert (large.id, large.members, large.status) == (before.id, tuple("abc"), "acknowledged")
    assert (small.members, small.status) == (("d", "e"), "open")
    notes = {event.alert_id: (event.kind, event.note) for event in await stored_events(story.connection)}
    assert notes[large.id] == ("split", f"the other parts have alert {small.id}: c → d was removed")
    assert notes[small.id] == ("opened", f"split off alert {large.id}: c → d was removed")


async def test_an_alert_follows_its_cycle_to_a_smaller_part_if_a_former_alert_has_the_larger(
    story: Story,
) -> None:
    await ring(story.connection, "a", "b", "c")
    former = await story.alert()
    await ring(story.connection, "d", "e")
    await story.alerts()
    async with story.connection.transaction():
        await call(story.connection, "c", "d")
        await call(story.connection, "e", "a")
    (both,) = [alert for alert in await story.alerts() if alert.is_present]
    assert both.cycle_path == ("d", "e")
    assert both.id != former.id
    await story.repository.acknowledge(both.id, "ann")
    await cut(story.connection, "c", "d")
    assert {(alert.id, alert.members, alert.status) for alert in await story.alerts()} == {
        (former.id, tuple("abc"), "acknowledged"),
        (both.id, tuple("de"), "acknowledged"),
    }


async def test_a_service_that_is_renamed_keeps_its_alert(story: Story) -> None:
    await ring(story.connection, "a", "b")
    alert = await story.alert()
    await story.repository.acknowledge(alert.id, "ann")
    await story.connection.execute("UPDATE services SET service_id = 'z' WHERE service_id = 'a'")
    renamed = await story.alert()
    assert (renamed.id, renamed.status, renamed.cycle_path) == (alert.id, "acknowledged", ("b", "z"))
    assert renamed.members == ("b", "z")
    assert await story.last_note() == "a is called z now"


async def test_services_that_swap_their_names_keep_the_alerts_of_their_cycles(story: Story) -> None:
    await ring(story.connection, "a", "b")
    await ring(story.connection, "c", "d")
    first = {alert.members: alert.id for alert in await story.alerts()}
    await story.connection.execute(
        """UPDATE services SET service_id = CASE service_id
            WHEN 'a' THEN 'c-' WHEN 'b' THEN 'd-' WHEN 'c' THEN 'a-' ELSE 'b-' END
        WHERE service_id IN ('a', 'b', 'c', 'd')"""
    )
    await story.connection.execute(
        "UPDATE services SET service_id = left(service_id, 1) WHERE service_id LIKE '_-'"
    )
    assert {alert.members: alert.id for alert in await story.alerts()} == {
        ("a", "b"): first["c", "d"],
        ("c", "d"): first["a", "b"],
    }


async def test_a_second_source_of_a_dependency_is_no_event_and_keeps_the_cycle(story: Story) -> None:
    await ring(story.connection, "a", "b")
    alert = await story.alert()
    await story.connection.execute(
        """INSERT INTO service_dependencies
            (source_service_id, target_service_id, communication_mode, discovery_source)
        SELECT source_service_id, target_service_id, 'sync', 'kubernetes' FROM service_dependencies"""
    )
    await story.alerts()
    await story.connection.execute("DELETE FROM service_dependencies WHERE discovery_source = 'manual'")
    assert await story.alert() == alert
    assert await story.history(alert.id) == ["opened"]


async def test_a_reload_of_everything_writes_nothing(story: Story) -> None:
    await ring(story.connection, "a", "b", "c")
    alert = await story.alert()
    async with story.connection.transaction():
        await story.connection.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM service_dependencies")
        await story.connection.execute("TRUNCATE service_dependencies")
        await story.connection.execute("INSERT INTO service_dependencies SELECT * FROM kept")
    assert await story.alert() == alert
    assert await story.history(alert.id) == ["opened"]


async def test_an_alert_acknowledged_without_a_name_goes_on_as_open(
    story: Story, connection: asyncpg.Connection
) -> None:
    written = """
        INSERT INTO circular_dependency_alerts (cycle_path, status, resolution_notes)
        VALUES ($1::text::jsonb, $2, $3)
    """
    await connection.execute(written, '["a", "b"]', "acknowledged", None)
    await connection.execute(written, '["b", "c"]', "resolved", "an old story")
    await call(connection, "a", "b", "a")
    await call(connection, "b", "c", "b")
    await story.alerts()
    await cut(connection, "b", "a")
    status_of = {alert.cycle_path: alert.status for alert in await story.alerts()}
    assert status_of == {("a", "b"): "resolved", ("b", "c"): "open"}
