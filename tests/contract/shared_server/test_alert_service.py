"""AlertService, each RPC over a real channel."""

from uuid import uuid4

import grpc
import pytest

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    ALERT_STATUS_ACKNOWLEDGED,
    ALERT_STATUS_OPEN,
    ALERT_STATUS_RESOLVED,
    ALERT_STATUS_UNSPECIFIED,
    AlertStatus,
    CircularDependencyAlert,
)
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create(stubs: Stubs, *path: str) -> CircularDependencyAlert:
    return (await stubs.alerts.CreateAlert(pb.CreateAlertRequest(cycle_path=path))).alert


async def acknowledge(stubs: Stubs, key: str, name: str) -> CircularDependencyAlert:
    return (
        await stubs.alerts.AcknowledgeAlert(pb.AcknowledgeAlertRequest(id=key, acknowledged_by=name))
    ).alert


async def resolve(stubs: Stubs, key: str, notes: str) -> CircularDependencyAlert:
    return (await stubs.alerts.ResolveAlert(pb.ResolveAlertRequest(id=key, resolution_notes=notes))).alert


async def paths(stubs: Stubs, status: AlertStatus.ValueType = ALERT_STATUS_UNSPECIFIED) -> list[str]:
    answer = await stubs.alerts.ListAlerts(pb.ListAlertsRequest(status=status))
    return ["".join(alert.cycle_path) for alert in answer.alerts]


async def test_an_alert_is_opened_acknowledged_and_resolved(stubs: Stubs) -> None:
    opened = await create(stubs, "a", "b", "c")
    assert (list(opened.cycle_path), opened.status) == (["a", "b", "c"], ALERT_STATUS_OPEN)
    assert not opened.HasField("acknowledged_by")
    acknowledged = await acknowledge(stubs, opened.id, "ann")
    assert (acknowledged.status, acknowledged.acknowledged_by) == (ALERT_STATUS_ACKNOWLEDGED, "ann")
    resolved = await resolve(stubs, opened.id, "cut b > c")
    assert (resolved.status, resolved.resolution_notes) == (ALERT_STATUS_RESOLVED, "cut b > c")
    stored = await stubs.alerts.GetAlert(pb.GetAlertRequest(id=opened.id))
    assert stored.alert == resolved


async def test_an_open_alert_can_be_resolved_at_once(stubs: Stubs) -> None:
    opened = await create(stubs, "a", "b")
    assert (await resolve(stubs, opened.id, "a mistake")).status == ALERT_STATUS_RESOLVED


async def test_an_acknowledged_alert_can_be_handed_over(stubs: Stubs) -> None:
    opened = await create(stubs, "a", "b")
    await acknowledge(stubs, opened.id, "ann")
    assert (await acknowledge(stubs, opened.id, "ben")).acknowledged_by == "ben"


async def test_once_resolved_an_alert_stays_as_it_is(stubs: Stubs) -> None:
    opened = await create(stubs, "a", "b")
    resolved = await resolve(stubs, opened.id, "done")
    for call in (acknowledge(stubs, opened.id, "ann"), resolve(stubs, opened.id, "again")):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ALERT_RESOLVED")
    assert (await stubs.alerts.GetAlert(pb.GetAlertRequest(id=opened.id))).alert == resolved


@pytest.mark.parametrize("rotated", ["abc", "bca", "cab"])
async def test_a_cycle_has_one_alert_whichever_service_it_is_written_from(stubs: Stubs, rotated: str) -> None:
    opened = await create(stubs, "a", "b", "c")
    failure = await failure_of(create(stubs, *rotated))
    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALERT_ALREADY_EXISTS")
    found = await stubs.alerts.CheckCycle(pb.CheckCycleRequest(cycle_path=rotated))
    assert found.exists
    assert found.alert == opened


async def test_the_alert_that_a_cycle_has_already_is_named(stubs: Stubs) -> None:
    opened = await create(stubs, "a", "b")
    failure = await failure_of(create(stubs, "b", "a"))
    assert failure.metadata == {"alert_id": opened.id}


@pytest.mark.parametrize("other", ["acb", "ab", "abcd"])
async def test_another_cycle_is_another_alert(stubs: Stubs, other: str) -> None:
    await create(stubs, "a", "b", "c")
    checked = await stubs.alerts.CheckCycle(pb.CheckCycleRequest(cycle_path=other))
    assert not checked.exists
    assert not checked.HasField("alert")
    assert (await create(stubs, *other)).status == ALERT_STATUS_OPEN


async def test_alerts_are_listed_latest_first_and_by_status(stubs: Stubs) -> None:
    first, second, third = [await create(stubs, "a", other) for other in "bcd"]
    await acknowledge(stubs, second.id, "ann")
    await resolve(stubs, third.id, "done")
    assert await paths(stubs) == ["ad", "ac", "ab"]
    assert await paths(stubs, ALERT_STATUS_OPEN) == ["".join(first.cycle_path)]
    assert await paths(stubs, ALERT_STATUS_ACKNOWLEDGED) == ["ac"]
    assert await paths(stubs, ALERT_STATUS_RESOLVED) == ["ad"]


async def test_a_cycle_of_a_thousand_services_has_an_alert(stubs: Stubs) -> None:
    cycle = [f"service {number} {'x' * 200}" for number in range(1_000)]
    opened = await create(stubs, *cycle)
    checked = await stubs.alerts.CheckCycle(pb.CheckCycleRequest(cycle_path=cycle[500:] + cycle[:500]))
    assert checked.alert.id == opened.id


async def test_what_is_no_cycle_is_refused(stubs: Stubs) -> None:
    for path, field in (
        ([], "cycle_path"),
        (["a"], "cycle_path"),
        (["a", "b", "a"], "cycle_path[2]"),
        ([f"s{number}" for number in range(1_001)], "cycle_path"),
    ):
        for call in (create(stubs, *path), stubs.alerts.CheckCycle(pb.CheckCycleRequest(cycle_path=path))):
            failure = await failure_of(call)
            assert (failure.code, list(failure.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "x" * 256])
async def test_acknowledging_an_alert_needs_a_name(stubs: Stubs, blank: str) -> None:
    opened = await create(stubs, "a", "b")
    failure = await failure_of(acknowledge(stubs, opened.id, blank))
    assert list(failure.fields) == ["acknowledged_by"]


@pytest.mark.parametrize("blank", ["", " \n", "x" * 10_001])
async def test_an_alert_is_resolved_with_words(stubs: Stubs, blank: str) -> None:
    opened = await create(stubs, "a", "b")
    failure = await failure_of(resolve(stubs, opened.id, blank))
    assert list(failure.fields) == ["resolution_notes"]
    assert (await resolve(stubs, opened.id, "x" * 10_000)).status == ALERT_STATUS_RESOLVED


async def test_an_unknown_alert_is_not_found(stubs: Stubs) -> None:
    unknown = str(uuid4())
    for call in (
        stubs.alerts.GetAlert(pb.GetAlertRequest(id=unknown)),
        acknowledge(stubs, unknown, "ann"),
        resolve(stubs, unknown, "notes"),
    ):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "ALERT_NOT_FOUND")


@pytest.mark.parametrize(
    ("length", "wrong"),
    [
        (1, "names fewer than 2 services; it takes two to make a cycle"),
        (1_001, "has 1,001 items; at most 1,000 make a cycle"),
    ],
)
async def test_a_path_that_is_no_cycle_is_refused_with_the_reason(
    stubs: Stubs, length: int, wrong: str
) -> None:
    path = [f"s{number}" for number in range(length)]
    failure = await failure_of(stubs.alerts.CheckCycle(pb.CheckCycleRequest(cycle_path=path)))
    assert (failure.code, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"cycle_path": wrong})
