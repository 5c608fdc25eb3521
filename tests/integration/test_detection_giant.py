"""Components with more members than are listed: their alerts live on, with true sizes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import asyncpg
import pytest

from server.domain.alerts import MOST_MEMBERS, AlertFilter
from server.store.alerts import AlertRepository
from server.store.database import Database
from tests.support.alert_story import Story
from tests.support.detecting import (
    StoredAlert,
    StoredEvent,
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
from tests.support.plain_sql import connected

MOST = 5
# Of the component only the first five are listed, and none of these is on a cycle of two.
RING = tuple("abcdefghijkl")
OTHERS = ("m", "n", "o", "p")


@pytest.fixture
async def story(database_url: str, connection: asyncpg.Connection) -> AsyncIterator[Story]:
    await add_services(connection, *RING, *OTHERS)
    await ring(connection, *RING)
    async with AsyncExitStack() as stack:
        keeper = await stack.enter_async_context(detecting(database_url, most_members=MOST))
        await alerts_are_caught_up([keeper])
        database = await stack.enter_async_context(Database.open(database_url))
        yield Story(keeper, connection, AlertRepository(database))


async def alerts_become(connection: asyncpg.Connection, wanted: list[StoredAlert]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await stored_alerts(connection) != wanted:
            await asyncio.sleep(0.005)


async def notes(story: Story, after: int = 1) -> list[tuple[str, str, int]]:
    events: Sequence[StoredEvent] = await stored_events(story.connection)
    return [(event.kind, event.note, event.size) for event in events[after:]]


async def test_the_first_members_are_kept_with_the_size_and_the_whole_witness(story: Story) -> None:
    alert = await story.alert()
    assert (alert.size, alert.members, alert.cycle_path) == (len(RING), RING[:MOST], RING)


async def test_an_alert_lives_on_while_services_that_are_not_listed_come_and_go(story: Story) -> None:
    alert = await story.alert()
    await call(story.connection, "h", "m", "h")
    grown = await story.alert()
    assert grown == alert._replace(size=13, cycle_path=("h", "m"))
    await call(story.connection, "i", "n", "j")
    assert await story.alert() == grown._replace(size=14)
    await cut(story.connection, "i", "n")
    assert await story.alert() == grown
    assert await notes(story) == [
        ("grown", "h → m was added, m → h was added", 13),
        ("witness_changed", "h → m was added, m → h was added", 13),
        ("grown", "i → n was added, n → j was added", 14),
        ("shrunk", "i → n was removed", 13),
    ]


async def test_exchanged_members_are_recorded_though_the_size_stays(story: Story) -> None:
    async with story.connection.transaction():
        await call(story.connection, "h", "m", "i")
        await call(story.connection, "i", "n")
    alert = await story.alert()
    async with story.connection.transaction():
        await cut(story.connection, "h", "m")
        await call(story.connection, "n", "j")
    assert await story.alert() == alert
    assert [(kind, note) for kind, note, _ in (await notes(story))[-2:]] == [
        ("shrunk", "h → m was removed"),
        ("grown", "n → j was added"),
    ]


async def test_a_removed_unlisted_service_is_named(story: Story) -> None:
    await call(story.connection, "g", "m", "i")
    await story.alert()
    await story.connection.execute("DELETE FROM services WHERE service_id = 'm'")
    assert (await story.alert()).size == len(RING)
    assert (await notes(story))[-1] == ("shrunk", "service m was removed", len(RING))


async def test_another_listed_member_takes_the_place_of_one_that_is_gone(story: Story) -> None:
    alert = await story.alert()
    await call(story.connection, "a", "c")
    await story.alert()
    await cut(story.connection, "a", "b")
    after = await story.alert()
    assert (after.id, after.members, after.size) == (alert.id, tuple("acdef"), 11)
    assert (await notes(story))[-1] == ("shrunk", "a → b was removed", 11)


async def test_services_that_are_renamed_are_neither_gained_nor_lost(story: Story) -> None:
    await call(story.connection, "k", "j")
    alert = await story.alert()
    rename = "UPDATE services SET service_id = $2 WHERE service_id = $1"
    await story.connection.execute(rename, "h", "z")
    assert await story.alert() == alert
    await story.connection.execute(rename, "c", "y")
    assert await story.alert() == alert._replace(members=tuple("abdef"))
    assert [kind for kind, _, _ in await notes(story)] == ["witness_changed"]


async def test_a_component_that_shrinks_to_what_can_be_listed_has_all_of_it_listed(story: Story) -> None:
    alert = await story.alert()
    async with story.connection.transaction():
        await call(story.connection, "d", "a")
        await cut(story.connection, "e", "f")
    after = await story.alert()
    assert (after.id, after.members, after.size) == (alert.id, tuple("abcd"), 4)
    await call(story.connection, "d", "m", "n", "o", "a")
    grown = await story.alert()
    assert (grown.id, grown.members, grown.size) == (alert.id, ("a", "b", "c", "d", "m"), 7)


async def test_the_larger_part_keeps_the_alert_though_all_that_is_listed_is_in_the_other(
    story: Story,
) -> None:
    alert = await story.alert()
    async with story.connection.transaction():
        await call(story.connection, "e", "a")
        await call(story.connection, "l", "f")
        await cut(story.connection, "l", "a")
    large, small = sorted(await story.alerts(), key=lambda each: -each.size)
    assert (large.id, large.members, large.size) == (alert.id, tuple("fghij"), 7)
    assert (small.members, small.size) == (tuple("abcde"), 5)
    assert [kind for kind, _, _ in await notes(story)] == ["split", "witness_changed", "opened"]


async def test_a_component_that_is_gone_resolves_its_alert_and_one_that_is_back_reopens_it(
    story: Story,
) -> None:
    alert = await story.alert()
    await cut(story.connection, "h", "i")
    gone = await story.alert()
    assert (gone.status, gone.resolution_notes) == ("resolved", "the cycle is gone: h → i was removed")
    await call(story.connection, "h", "i")
    assert await story.alert() == alert


async def test_the_decision_of_people_holds_until_the_component_gains_a_member(story: Story) -> None:
    alert = await story.alert()
    await story.repository.resolve(alert.id, "we live with it")
    await call(story.connection, "h", "j")
    await story.alert()
    await call(story.connection, "h", "m")
    assert (await story.alert()).status == "resolved"
    await call(story.connection, "m", "i")
    after = await story.alert()
    assert (after.id, after.status, after.size) == (alert.id, "open", 13)
    assert (await notes(story))[-2:] == [
        ("reopened", "the cycle has grown: m → i was added", 13),
        ("grown", "m → i was added", 13),
    ]


async def test_a_process_that_takes_over_recognises_the_alert_and_writes_nothing(
    database_url: str, story: Story
) -> None:
    alert = await story.alert()
    await story.repository.acknowledge(alert.id, "ann")
    before = await story.connection.fetch("SELECT xmin, * FROM circular_dependency_alerts")
    async with detecting(database_url, most_members=MOST) as second:
        await story.connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND classid = 7203411 AND objid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
        )
        await alerts_are_caught_up([story.keeper, second])
        assert await story.connection.fetch("SELECT xmin, * FROM circular_dependency_alerts") == before
        await call(story.connection, "h", "m", "i")
        await alerts_are_caught_up([story.keeper, second])
    (after,) = await stored_alerts(story.connection)
    assert (after.id, after.status, after.size) == (alert.id, "acknowledged", 13)


async def test_an_alert_is_known_again_by_its_witness_when_all_that_is_listed_went_unseen(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await add_services(connection, *RING)
    await ring(connection, *RING)
    await call(connection, "i", "h")
    async with detecting(database_url, most_members=MOST) as keeper:
        await alerts_are_caught_up([keeper])
    (alert,) = await stored_alerts(connection)
    await connection.execute("DELETE FROM services WHERE service_id < 'f'")
    await call(connection, "l", "f")
    async with detecting(database_url, most_members=MOST) as keeper:
        await alerts_are_caught_up([keeper])
    (after,) = await stored_alerts(connection)
    assert after == alert._replace(size=7, members=tuple("fghij"))
    assert (await stored_events(connection))[-1].kind == "shrunk"


async def test_surplus_members_of_a_former_version_are_removed_without_an_event(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await add_services(connection, *RING)
    await ring(connection, *RING)
    async with detecting(database_url) as keeper:
        await alerts_are_caught_up([keeper])
    (alert,) = await stored_alerts(connection)
    assert alert.members == RING
    async with detecting(database_url, most_members=MOST) as keeper:
        await alerts_are_caught_up([keeper])
        await alerts_become(connection, [alert._replace(members=RING[:MOST])])
    assert len(await stored_events(connection)) == 1


async def test_a_component_slightly_larger_than_its_member_list(
    database_url: str, connection: asyncpg.Connection
) -> None:
    names = [f"s{number:04}" for number in range(MOST_MEMBERS + 50)]
    await add_services(connection, *names, "z")
    await ring(connection, *names)
    async with Database.open(database_url) as database, detecting(database_url) as keeper:
        await alerts_are_caught_up([keeper])
        await call(connection, names[-1], names[-2])
        await call(connection, names[-3], "z", names[3])
        await alerts_are_caught_up([keeper])
        (alert,) = await stored_alerts(connection)
        assert alert.cycle_path == (names[-2], names[-1])
        assert (alert.size, alert.members) == (MOST_MEMBERS + 51, tuple(names[:MOST_MEMBERS]))
        found = {
            name: len((await AlertRepository(database).page(AlertFilter(service_id=name), 5, None)).rows)
            for name in (names[0], names[-1], names[-4])
        }
        # A service that is neither listed nor on the witness is not known to be a member.
        assert found == {names[0]: 1, names[-1]: 1, names[-4]: 0}


async def test_alerts_of_a_restored_database_are_compared_at_once(story: Story, database_url: str) -> None:
    alert = await story.alert()
    async with connected(database_url) as other, other.transaction():
        await other.execute("DELETE FROM circular_dependency_alerts")
        await other.execute("UPDATE depgraph_feed.incarnation SET id = gen_random_uuid()")
        await add_services(other, "q")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (again := await stored_alerts(story.connection)):
            await asyncio.sleep(0.005)
    assert [each._replace(id=alert.id) for each in again] == [alert]
