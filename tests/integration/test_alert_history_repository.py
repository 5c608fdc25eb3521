"""
Members, history and the alerts of a service, as the repository gives them.

Writers that meet on one alert.
"""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from server.domain.alerts import MOST_MEMBERS, Alert, AlertEvent, AlertFilter, EventKey
from server.domain.errors import AlertNotFoundError, AlertResolvedError
from server.store import alerts
from server.store.alerts import AlertRepository
from server.store.database import Database
from tests.support.pages import every_row

ALERTS = "circular_dependency_alerts"


@pytest.fixture
async def repository(database_url: str) -> AsyncIterator[AlertRepository]:
    async with Database.open(database_url) as database:
        yield AlertRepository(database)


async def detect(connection: asyncpg.Connection, path: str, *members: str) -> UUID:
    """Write what detection writes when it finds a component, a letter a service on the path."""
    async with connection.transaction():
        await connection.execute("SET LOCAL depgraph.alert_events = 'written'")
        key: UUID = await connection.fetchval(
            f"""INSERT INTO {ALERTS} (cycle_path, size, detected, is_present)
            VALUES (to_jsonb($1::text[]), $2, true, true) RETURNING id""",
            list(path),
            len(members),
        )
        await connection.execute(
            "INSERT INTO circular_dependency_alert_members (alert_id, service_id)"
            " SELECT $1, unnest($2::text[])",
            key,
            members,
        )
    return key


async def write_event(connection: asyncpg.Connection, alert: UUID, kind: str, note: str) -> None:
    await connection.execute(
        """INSERT INTO circular_dependency_alert_events
            (alert_id, kind, actor, note, status, cycle_path, size)
        VALUES ($1, $2, 'detection', $3, 'open', '["a", "b"]', 2)""",
        alert,
        kind,
        note,
    )


async def history(repository: AlertRepository, alert: UUID, size: int) -> list[AlertEvent]:
    found: list[AlertEvent] = []
    after: EventKey | None = None
    while True:
        page = await repository.events(alert, size, after)
        assert len(page.events) <= size
        found += page.events
        if page.next is None:
            return found
        assert page.events
        after = page.next


async def of_service(repository: AlertRepository, service_id: str, size: int = 2) -> list[str]:
    chosen = AlertFilter(service_id=service_id)
    found = await every_row(lambda after: repository.page(chosen, size, after), size)
    return ["".join(alert.cycle_path) for alert in found]


async def test_members_are_sorted_by_code_point(
    repository: AlertRepository, connection: asyncpg.Connection
) -> None:
    names = ["b", "B", "a", "Ä", "ä", "\uffee", "\U0001f600", "a b", "a-b"]

    key = await detect(connection, "ab", *names)

    alert = await repository.get(key)
    assert alert.members == tuple(sorted(names))
    assert (alert.size, alert.detected, alert.is_present) == (len(names), True, True)
    assert (await repository.page(AlertFilter(), 5, None)).rows == (alert,)
    assert await repository.find("ba") == alert


async def test_an_alert_shows_its_first_thousand_members(
    repository: AlertRepository, connection: asyncpg.Connection
) -> None:
    names = [f"service-{number:04}" for number in range(MOST_MEMBERS + 7)]

    alert = await repository.get(await detect(connection, "ab", *names[::-1]))

    assert alert.members == tuple(names[:MOST_MEMBERS])
    assert alert.size == len(names)


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 5), (5, [1, 2, 2]), (11, [2, 3]), (100, [5])])
async def test_a_page_ends_where_it_has_members_enough(
    repository: AlertRepository,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    sizes: list[int],
) -> None:
    monkeypatch.setattr(alerts, "_MOST_MEMBERS_OF_PAGE", most)
    for path, members in (("ab", "abcd"), ("cd", "cd"), ("ef", "efgh"), ("gh", "gh"), ("ij", "abcdefghij")):
        await detect(connection, path, *members)

    pages = [await repository.page(AlertFilter(), 10, None)]
    while pages[-1].next is not None:
        pages.append(await repository.page(AlertFilter(), 10, pages[-1].next))

    assert [len(page.rows) for page in pages] == sizes
    assert [alert.size for page in pages for alert in page.rows] == [10, 2, 4, 2, 4]
    assert all(len(alert.members) == alert.size for page in pages for alert in page.rows)
    of_c = await repository.page(AlertFilter(service_id="c"), 10, None)
    assert [alert.size for alert in of_c.rows] == [10, 2, 4][: 1 if most < 10 else 2 if most < 12 else 3]


async def test_an_alert_that_somebody_made_has_no_members(repository: AlertRepository) -> None:
    alert = (await repository.create("ab")).value

    assert (alert.members, alert.size, alert.detected, alert.is_present) == ((), 0, False, False)


@pytest.mark.parametrize("size", [1, 2, 10])
async def test_alerts_of_a_service_are_those_of_its_component_or_cycle(
    repository: AlertRepository, connection: asyncpg.Connection, size: int
) -> None:
    await repository.create("xa")
    await repository.create("yz")
    await detect(connection, "ab", "a", "b", "c")
    await detect(connection, "de", "d", "e")
    await repository.create("cdb")

    assert await of_service(repository, "a", size) == ["ab", "xa"]
    assert await of_service(repository, "c", size) == ["cdb", "ab"]
    assert await of_service(repository, "d", size) == ["cdb", "de"]
    assert await of_service(repository, "nobody", size) == []


async def test_alerts_of_a_service_are_chosen_by_status_too(repository: AlertRepository) -> None:
    first = (await repository.create("ab")).value
    await repository.create("ac")
    resolved = (await repository.resolve(first.id, "done")).value

    page = await repository.page(AlertFilter("resolved", "a"), 10, None)

    assert page.rows == (resolved,)


@pytest.mark.parametrize("name", ['"', "\\", "a%", "{a}", "\U0001f600", "null", "1"])
async def test_a_service_of_any_name_finds_its_alerts(repository: AlertRepository, name: str) -> None:
    alert = (await repository.create([name, "other"])).value

    assert (await repository.page(AlertFilter(service_id=name), 10, None)).rows == (alert,)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
async def test_a_history_is_paged_oldest_first(
    repository: AlertRepository, connection: asyncpg.Connection, size: int
) -> None:
    alert = (await repository.create("ab")).value
    other = (await repository.create("cd")).value
    await repository.acknowledge(alert.id, "ana")
    await write_event(connection, alert.id, "grown", "c joined")
    await write_event(connection, other.id, "grown", "not this one")
    await repository.resolve(alert.id, "cut")

    events = await history(repository, alert.id, size)

    assert [(event.kind, event.actor, event.note, event.status) for event in events] == [
        ("opened", None, "", "open"),
        ("acknowledged", "ana", "", "acknowledged"),
        ("grown", "detection", "c joined", "open"),
        ("resolved", None, "cut", "resolved"),
    ]
    assert [event.cycle_path for event in events] == [("a", "b")] * 4
    assert [event.event_at for event in events] == sorted(event.event_at for event in events)


async def test_an_alert_without_a_history_has_an_empty_one(
    repository: AlertRepository, connection: asyncpg.Connection
) -> None:
    key = await detect(connection, "ab", "a", "b")

    assert await history(repository, key, 10) == []
    assert (await repository.events(key, 10, EventKey(2**62))).events == ()


async def test_a_missing_alert_has_no_history(repository: AlertRepository) -> None:
    with pytest.raises(AlertNotFoundError):
        await repository.events(UUID(int=7), 10, None)


async def test_what_does_not_happen_is_not_in_the_history(repository: AlertRepository) -> None:
    alert = (await repository.create("ab")).value
    await repository.acknowledge(alert.id, "ana")
    await repository.acknowledge(alert.id, "ana")
    await repository.resolve(alert.id, "done")
    for call in (repository.acknowledge(alert.id, "bo"), repository.resolve(alert.id, "again")):
        with pytest.raises(AlertResolvedError):
            await call

    kinds = [event.kind for event in await history(repository, alert.id, 10)]

    assert kinds == ["opened", "acknowledged", "resolved"]


async def waiting(connection: asyncpg.Connection) -> bool:
    """
    Whether a session of this database waits for a lock now.
    """
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return found


async def acknowledge_during(
    repository: AlertRepository, connection: asyncpg.Connection, change: str
) -> Alert:
    """Acknowledge an alert while detection holds its row and changes it."""
    alert = (await repository.create("ab")).value
    async with connection.transaction():
        await connection.execute("SET LOCAL depgraph.alert_events = 'written'")
        await connection.execute(f"SELECT FROM {ALERTS} FOR UPDATE")
        acknowledging = asyncio.ensure_future(repository.acknowledge(alert.id, "ana"))
        async with asyncio.timeout(30):
            while not await waiting(connection):
                await asyncio.sleep(0.005)
        await connection.execute(f"UPDATE {ALERTS} SET {change}")
    return (await acknowledging).value


async def test_an_acknowledgement_and_what_detection_writes_are_both_kept(
    repository: AlertRepository, connection: asyncpg.Connection
) -> None:
    alert = await acknowledge_during(repository, connection, "size = 5, detected = true, is_present = true")

    assert (alert.status, alert.acknowledged_by, alert.size) == ("acknowledged", "ana", 5)


async def test_an_acknowledgement_that_meets_a_resolution_comes_too_late(
    repository: AlertRepository, connection: asyncpg.Connection
) -> None:
    with pytest.raises(AlertResolvedError):
        await acknowledge_during(repository, connection, "status = 'resolved', resolution_notes = 'gone'")
