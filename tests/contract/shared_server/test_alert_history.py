"""The history of alerts by RPC, whoever wrote it: callers, or people with plain SQL."""

import asyncio
from uuid import uuid4

import asyncpg
import grpc
import pytest

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.types_pb2 import AlertStatus
from server.config import DetectionSettings, Limits, Settings
from tests.support.calls import Stubs, pages
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMIT = 100_000
Returned = tuple[str, str | None, str, str]


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    limits = Limits(max_response_bytes=LIMIT)
    # Alerts are as the test writes them.
    detection = DetectionSettings(enabled=False)
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=limits, detection=detection)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create(stubs: Stubs, *path: str) -> str:
    return (await stubs.alerts.CreateAlert(pb.CreateAlertRequest(cycle_path=path))).alert.id


async def acknowledge(stubs: Stubs, key: str, name: str) -> None:
    await stubs.alerts.AcknowledgeAlert(pb.AcknowledgeAlertRequest(id=key, acknowledged_by=name))


async def resolve(stubs: Stubs, key: str, notes: str) -> None:
    await stubs.alerts.ResolveAlert(pb.ResolveAlertRequest(id=key, resolution_notes=notes))


async def events(stubs: Stubs, key: str, size: int = 0) -> list[pb.AlertEvent]:
    found: list[pb.AlertEvent] = []
    async for page in pages(
        lambda token: stubs.alerts.ListAlertEvents(
            pb.ListAlertEventsRequest(id=key, page_size=size, page_token=token)
        )
    ):
        assert len(page.events) <= (size or 100)
        assert page.ByteSize() <= LIMIT
        found += page.events
    return found


async def history(stubs: Stubs, key: str, size: int = 0) -> list[Returned]:
    """What happened: kind, who, why, and the status that it led to."""
    return [
        (
            pb.AlertEventKind.Name(event.kind).removeprefix("ALERT_EVENT_KIND_").lower(),
            event.actor if event.HasField("actor") else None,
            event.note,
            AlertStatus.Name(event.status).removeprefix("ALERT_STATUS_").lower(),
        )
        for event in await events(stubs, key, size)
    ]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 1_000])
async def test_events_are_listed_oldest_first_in_pages_of_any_size(stubs: Stubs, size: int) -> None:
    key = await create(stubs, "a", "b")
    await acknowledge(stubs, key, "ann")
    await acknowledge(stubs, key, "ben")
    await resolve(stubs, key, "cut a > b")
    assert await history(stubs, key, size) == [
        ("opened", None, "", "open"),
        ("acknowledged", "ann", "", "acknowledged"),
        ("acknowledged", "ben", "", "acknowledged"),
        ("resolved", None, "cut a > b", "resolved"),
    ]


async def test_an_event_has_its_time_and_its_cycle(stubs: Stubs) -> None:
    key = await create(stubs, "b", "c", "a")
    alert = (await stubs.alerts.GetAlert(pb.GetAlertRequest(id=key))).alert
    (event,) = await events(stubs, key)
    assert (list(event.cycle_path), event.size) == (["b", "c", "a"], 0)
    assert alert.detect_time.ToDatetime() <= event.event_time.ToDatetime()


async def test_what_people_do_with_sql_is_in_the_history(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    await connection.execute(
        """INSERT INTO circular_dependency_alerts (cycle_path, status, resolution_notes)
        VALUES ('["a", "b"]', 'resolved', 'long ago'), ('["a", "c"]', 'open', NULL)"""
    )
    await connection.execute(
        """UPDATE circular_dependency_alerts SET status = 'acknowledged', acknowledged_by = 'ann'
        WHERE status = 'open'"""
    )
    by_path = {
        "".join(alert.cycle_path): alert.id
        for alert in (await stubs.alerts.ListAlerts(pb.ListAlertsRequest())).alerts
    }
    await resolve(stubs, by_path["ac"], "by RPC")
    assert await history(stubs, by_path["ab"]) == [("opened", None, "long ago", "resolved")]
    assert await history(stubs, by_path["ac"]) == [
        ("opened", None, "", "open"),
        ("acknowledged", "ann", "", "acknowledged"),
        ("resolved", None, "by RPC", "resolved"),
    ]


async def test_what_detection_writes_is_in_the_history(stubs: Stubs, connection: asyncpg.Connection) -> None:
    key = await create(stubs, "a", "b")
    kinds = list(pb.AlertEventKind.keys())[1:]
    for kind in kinds:
        await connection.execute(
            """INSERT INTO circular_dependency_alert_events
                (alert_id, kind, actor, note, status, cycle_path, size)
            VALUES ($1, $2, 'detection', 'why', 'open', '["a", "b"]', 2)""",
            key,
            kind.removeprefix("ALERT_EVENT_KIND_").lower(),
        )
    returned = (await history(stubs, key))[1:]
    assert returned == [
        (kind.removeprefix("ALERT_EVENT_KIND_").lower(), "detection", "why", "open") for kind in kinds
    ]


async def test_an_alert_opened_again_goes_on_with_its_history(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    key = await create(stubs, "a", "b")
    await resolve(stubs, key, "gone")
    await connection.execute(
        """UPDATE circular_dependency_alerts
        SET status = 'open', resolution_notes = NULL, detected = true, is_present = true"""
    )
    assert (await history(stubs, key))[2] == ("reopened", None, "", "open")


async def test_concurrent_callers_leave_at_most_an_event_each(stubs: Stubs) -> None:
    key = await create(stubs, "a", "b")
    names = [f"name {number}" for number in range(5)]
    outcomes = await asyncio.gather(
        *(acknowledge(stubs, key, name) for name in names),
        *(resolve(stubs, key, f"done {number}") for number in range(3)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert {outcome.code() for outcome in refused} == {grpc.StatusCode.FAILED_PRECONDITION}
    returned = await history(stubs, key)
    assert len(returned) == 1 + len(outcomes) - len(refused)
    assert [kind for kind, _, _, _ in returned].count("resolved") == 1
    assert returned[-1][0] == "resolved"


async def test_the_history_of_an_unknown_alert_is_not_found(stubs: Stubs) -> None:
    failure = await failure_of(stubs.alerts.ListAlertEvents(pb.ListAlertEventsRequest(id=str(uuid4()))))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "ALERT_NOT_FOUND")


async def test_every_bad_field_is_named_at_once(stubs: Stubs) -> None:
    request = pb.ListAlertEventsRequest(id="7", page_size=1_001, page_token="?")
    failure = await failure_of(stubs.alerts.ListAlertEvents(request))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(failure.fields) == ["id", "page_size", "page_token"]


async def test_a_token_belongs_to_the_history_that_gave_it(stubs: Stubs) -> None:
    one, other = await create(stubs, "a", "b"), await create(stubs, "c", "d")
    await acknowledge(stubs, one, "ann")
    page = await stubs.alerts.ListAlertEvents(pb.ListAlertEventsRequest(id=one, page_size=1))
    for token in (page.next_page_token, "garbage!", "AAAA" * 20, "ä"):
        request = pb.ListAlertEventsRequest(id=other, page_token=token)
        failure = await failure_of(stubs.alerts.ListAlertEvents(request))
        assert (failure.reason, list(failure.fields)) == ("INVALID_PAGE_TOKEN", ["page_token"])


async def test_pages_too_large_for_an_answer_end_early(stubs: Stubs, connection: asyncpg.Connection) -> None:
    cycle = [f"{number:03}{'x' * 200}" for number in range(150)]
    key = await create(stubs, *cycle)
    for number in range(6):
        await acknowledge(stubs, key, f"name {number}")
        await create(stubs, *cycle, f"one more {number}")
    assert len(await events(stubs, key)) == 7
    sizes = []
    async for page in pages(lambda token: stubs.alerts.ListAlerts(pb.ListAlertsRequest(page_token=token))):
        assert page.ByteSize() <= LIMIT
        sizes.append(len(page.alerts))
    assert (sum(sizes), max(sizes)) == (7, 2)


@pytest.mark.parametrize("blank", ["\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}", "\x1f", "\v", "\n\t "])
async def test_white_space_of_any_kind_says_nothing(stubs: Stubs, blank: str) -> None:
    key = await create(stubs, "a", "b")
    for call, field in (
        (acknowledge(stubs, key, blank), "acknowledged_by"),
        (resolve(stubs, key, blank), "resolution_notes"),
    ):
        failure = await failure_of(call)
        assert (failure.code, list(failure.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, [field])
    assert len(await history(stubs, key)) == 1


@pytest.mark.parametrize(
    "imported",
    [
        "'open', 'ann', 'noted before'",
        "'acknowledged', NULL, NULL",
        "'acknowledged', ' ', ' '",
        "'open', NULL, ' '",
    ],
)
async def test_alerts_imported_with_odd_values_go_their_way(
    stubs: Stubs, connection: asyncpg.Connection, imported: str
) -> None:
    key = str(
        await connection.fetchval(
            f"""INSERT INTO circular_dependency_alerts (cycle_path, status, acknowledged_by, resolution_notes)
            VALUES ('["a", "b"]', {imported}) RETURNING id"""
        )
    )
    await acknowledge(stubs, key, "ben")
    await resolve(stubs, key, "done")
    assert [kind for kind, *_ in await history(stubs, key)] == ["opened", "acknowledged", "resolved"]
