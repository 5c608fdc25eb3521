"""Members of alerts by RPC, and the alerts of a service."""

from typing import Any

import asyncpg
import grpc
import pytest

from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.catalog_service_pb2 import AddAliasRequest
from depgraph.v1.types_pb2 import ALERT_STATUS_OPEN, ALERT_STATUS_RESOLVED
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create(stubs: Stubs, *path: str) -> str:
    return (await stubs.alerts.CreateAlert(pb.CreateAlertRequest(cycle_path=path))).alert.id


async def resolve(stubs: Stubs, key: str, notes: str) -> None:
    await stubs.alerts.ResolveAlert(pb.ResolveAlertRequest(id=key, resolution_notes=notes))


async def listed(stubs: Stubs, **said: Any) -> list[str]:
    answer = await stubs.alerts.ListAlerts(pb.ListAlertsRequest(**said))
    return ["".join(alert.cycle_path) for alert in answer.alerts]


async def test_alerts_are_listed_by_service(stubs: Stubs, connection: asyncpg.Connection) -> None:
    first = await create(stubs, "a", "b")
    await create(stubs, "b", "c")
    await create(stubs, "c", "d")
    await connection.execute(
        "INSERT INTO circular_dependency_alert_members (alert_id, service_id) VALUES ($1, 'z')", first
    )
    await resolve(stubs, first, "done")
    assert await listed(stubs, service_id="b") == ["bc", "ab"]
    assert await listed(stubs, service_id="z") == ["ab"]
    assert await listed(stubs, service_id="b", status=ALERT_STATUS_OPEN) == ["bc"]
    assert await listed(stubs, service_id="z", status=ALERT_STATUS_OPEN) == []
    assert await listed(stubs, service_id="missing") == []
    page = await stubs.alerts.ListAlerts(pb.ListAlertsRequest(service_id="b", page_size=1))
    assert await listed(stubs, service_id="b", page_token=page.next_page_token) == ["ab"]
    failure = await failure_of(listed(stubs, service_id="z", page_token=page.next_page_token))
    assert failure.reason == "INVALID_PAGE_TOKEN"


async def test_an_alias_finds_the_alerts_of_either_name(stubs: Stubs, connection: asyncpg.Connection) -> None:
    await stubs.write_edges("shop>db")
    await stubs.catalog.AddAlias(AddAliasRequest(alias="web", service_id="shop"))
    await create(stubs, "a", "shop")
    await create(stubs, "b", "web")
    member = await create(stubs, "c", "d")
    await create(stubs, "e", "f")
    await connection.execute(
        "INSERT INTO circular_dependency_alert_members (alert_id, service_id) VALUES ($1, 'shop')", member
    )
    assert await listed(stubs, service_id="web") == ["cd", "bweb", "ashop"]
    assert await listed(stubs, service_id="shop") == ["cd", "ashop"]


@pytest.mark.parametrize("name", ["x" * 256, "nul\0"])
async def test_what_can_not_be_a_service_is_refused(stubs: Stubs, name: str) -> None:
    failure = await failure_of(listed(stubs, service_id=name))
    assert (failure.code, list(failure.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["service_id"])


async def test_an_alert_shows_what_was_seen_of_its_component(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    key = await create(stubs, "a", "b")
    await connection.execute("UPDATE circular_dependency_alerts SET size = 1005, is_present = true")
    await connection.execute(
        """INSERT INTO circular_dependency_alert_members (alert_id, service_id)
        SELECT $1, 'service-' || lpad(number::text, 4, '0') FROM generate_series(1005, 1, -1) AS number""",
        key,
    )
    shown = (await stubs.alerts.GetAlert(pb.GetAlertRequest(id=key))).alert
    assert list(shown.members) == [f"service-{number:04}" for number in range(1, 1_001)]
    assert (shown.size, shown.is_present, shown.detected) == (1_005, True, False)
    assert shown.update_time.ToDatetime() > shown.detect_time.ToDatetime()
    assert (await stubs.alerts.ListAlerts(pb.ListAlertsRequest())).alerts[0] == shown


async def test_an_alert_is_resolved_by_hand_though_its_component_is_still_there(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    key = await create(stubs, "a", "b")
    await connection.execute("UPDATE circular_dependency_alerts SET size = 2, is_present = true")
    await resolve(stubs, key, "we live with it")
    shown = (await stubs.alerts.GetAlert(pb.GetAlertRequest(id=key))).alert
    assert (shown.status, shown.is_present) == (ALERT_STATUS_RESOLVED, True)
