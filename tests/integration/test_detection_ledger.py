"""How detection writes alerts: whole rounds or nothing, in bulk, beside people who write."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from server.domain.detection import (
    AlertChange,
    EventDraft,
    EventKind,
    KeptAlert,
    LedgerConflictError,
    Membership,
)
from server.store.detection_ledger import DetectionLedger
from tests.support.detecting import stored_alerts, stored_events
from tests.support.plain_sql import connected

MANY = 600


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[DetectionLedger]:
    async with connected(database_url) as connection:
        yield DetectionLedger(connection)


def alert(*path: str) -> KeptAlert:
    return KeptAlert(id=uuid4(), cycle_path=path, status="open", size=len(path), members=tuple(sorted(path)))


async def write(ledger: DetectionLedger, *changes: AlertChange) -> list[KeptAlert]:
    """Write a round; returns what is tracked afterwards."""
    async with ledger.round():
        await ledger.write(changes)
    return await ledger.tracked()


def opened(alert: KeptAlert) -> AlertChange:
    return AlertChange(None, alert, (EventDraft("opened", "b → a was added"),))


def moved(before: KeptAlert, after: KeptAlert, kind: EventKind = "witness_changed") -> AlertChange:
    return AlertChange(before, after, (EventDraft(kind, "for a reason"),))


def undated(alerts: Sequence[KeptAlert]) -> list[KeptAlert]:
    return sorted((replace(alert, detected_at=None) for alert in alerts), key=lambda alert: alert.id)


async def test_written_alerts_are_read_back_with_one_event_each(
    ledger: DetectionLedger, connection: asyncpg.Connection
) -> None:
    alerts = [alert(f"a{number}", f"b{number}", f"c{number}") for number in range(MANY)]
    tracked = await write(ledger, *map(opened, alerts))
    assert undated(tracked) == undated(alerts)
    events = await stored_events(connection)
    assert [event.alert_id for event in events] == [each.id for each in alerts]
    assert {(event.kind, event.actor, event.note) for event in events} == {
        ("opened", "detection", "b → a was added")
    }


async def test_members_change_by_difference(ledger: DetectionLedger) -> None:
    (before,) = await write(ledger, opened(alert("a", "b", "c")))
    after = replace(before, members=("b", "c", "d", "é"), size=4)
    assert await write(ledger, moved(before, after, "grown")) == [after]


async def test_alerts_may_swap_their_cycles(ledger: DetectionLedger) -> None:
    tracked = await write(ledger, opened(alert("a", "b")), opened(alert("c", "d")))
    one, other = tracked
    swapped = [
        replace(one, cycle_path=other.cycle_path, members=other.members),
        replace(other, cycle_path=one.cycle_path, members=one.members),
    ]
    assert await write(ledger, *map(moved, tracked, swapped)) == swapped


async def test_a_cycle_written_meanwhile_is_a_conflict_and_nothing_is_written(
    ledger: DetectionLedger, connection: asyncpg.Connection
) -> None:
    async def too_late() -> None:
        async with ledger.round():
            assert await ledger.candidates([("a", "b")], []) == []
            await connection.execute(
                'INSERT INTO circular_dependency_alerts (cycle_path) VALUES (\'["b", "a"]\')'
            )
            await ledger.write([opened(alert("c", "d")), opened(alert("a", "b"))])

    with pytest.raises(LedgerConflictError):
        await too_late()
    assert await ledger.tracked() == []
    async with ledger.round():
        (found,) = await ledger.candidates([("a", "b")], [])
    assert (found.cycle_path, found.detected) == (("b", "a"), False)


async def test_locking_alerts_reads_what_people_changed_since(
    ledger: DetectionLedger, connection: asyncpg.Connection
) -> None:
    kept, removed = await write(ledger, opened(alert("a", "b")), opened(alert("c", "d")))
    await connection.execute(
        "UPDATE circular_dependency_alerts SET status = 'acknowledged', acknowledged_by = 'ann'"
        " WHERE id = $1",
        kept.id,
    )
    await connection.execute("DELETE FROM circular_dependency_alerts WHERE id = $1", removed.id)
    async with ledger.round():
        assert await ledger.lock([removed, kept]) == [
            replace(kept, status="acknowledged", acknowledged_by="ann")
        ]


async def test_a_resolved_alert_is_found_by_exactly_its_members(
    ledger: DetectionLedger, connection: asyncpg.Connection
) -> None:
    over, present, larger = (
        replace(alert("a", "b", "ü"), status="resolved", resolution_notes="gone", is_present=False),
        alert("b", "a", "ü"),
        replace(alert("a", "b", "ü", "c"), status="resolved", resolution_notes="gone", is_present=False),
    )
    await write(ledger, *map(opened, (over, present, larger)))
    async with ledger.round():
        found = await ledger.candidates([], [over.membership, Membership(2, ("x", "y"))])
    assert undated(found) == [over]
    assert len(await stored_alerts(connection)) == 3


async def test_a_persons_decision_passes_to_another_alert(
    ledger: DetectionLedger, connection: asyncpg.Connection
) -> None:
    before = replace(alert("a", "b"), status="resolved", resolution_notes="gone", is_present=False)
    await write(ledger, opened(before))
    after = replace(before, acknowledged_by="ann", resolution_notes="by design", is_present=True)
    (tracked,) = await write(ledger, moved(before, after, "found"))
    assert undated([tracked]) == [after]
    assert [event.kind for event in await stored_events(connection)] == ["opened", "found"]


async def test_only_the_first_members_are_read_and_the_others_are_removed(
    ledger: DetectionLedger, database_url: str, connection: asyncpg.Connection
) -> None:
    large, small = alert(*"abcdefgh"), alert("x", "y")
    await write(ledger, opened(large), opened(small))
    async with connected(database_url) as other:
        short = DetectionLedger(other, most_members=3)
        seen = {each.id: each for each in await short.tracked()}
        assert (seen[large.id].members, seen[large.id].unlisted) == (("a", "b", "c"), 5)
        assert seen[large.id].membership == Membership(8, ("a", "b", "c"))
        assert undated([seen[small.id]]) == [small]
        while await short.trim():
            pass
    members = {each.id: each.members for each in await stored_alerts(connection)}
    assert members == {large.id: ("a", "b", "c"), small.id: ("x", "y")}


async def test_members_that_were_not_listed_go_when_the_component_has_few(
    ledger: DetectionLedger, database_url: str, connection: asyncpg.Connection
) -> None:
    large = alert(*"abcdefgh")
    await write(ledger, opened(large))
    async with connected(database_url) as other:
        short = DetectionLedger(other, most_members=3)
        (before,) = await short.tracked()
        after = replace(before, members=("c", "z"), size=2, unlisted=0)
        assert await write(short, moved(before, after, "shrunk")) == [after]
    assert [each.members for each in await stored_alerts(connection)] == [("c", "z")]


async def test_a_resolved_alert_is_found_by_its_size_and_first_members(
    ledger: DetectionLedger, database_url: str
) -> None:
    over = replace(alert(*"abcdefgh"), status="resolved", resolution_notes="gone", is_present=False)
    await write(ledger, opened(over))
    async with connected(database_url) as other:
        short = DetectionLedger(other, most_members=3)
        async with short.round():
            wanted = [Membership(8, ("a", "b", "c")), Membership(7, ("a", "b", "c"))]
            (found,) = await short.candidates([], wanted)
            assert (found.id, found.membership) == (over.id, wanted[0])
