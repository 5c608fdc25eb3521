"""The view Cycles on a server with identities: alerts are changed under the caller's name."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from depgraph.v1.alert_service_pb2 import (
    AlertEvent,
    AlertEventKind,
    ListAlertEventsRequest,
    ListAlertsRequest,
)
from depgraph.v1.types_pb2 import AlertStatus, CircularDependencyAlert
from server.config import AccessSettings, Settings
from tests.support.browser import PATIENCE_SECONDS, OpenPage, Troubles, expect, shown, violations
from tests.support.calls import Stubs

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

ROLES = {"ann": "operator", "rae": "reader", "ada": "admin"}
NOTES = "We moved <b>loyalty</b> to a queue."


@pytest.fixture(scope="module")
def server_settings(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A server that knows an operator, a reader and an admin; each one's token is the name."""
    file: Path = tmp_path_factory.mktemp("access") / "auth.toml"
    file.write_text("".join(map(granted, ROLES)))
    return replace(server_settings, access=AccessSettings(auth_file=file))


def granted(name: str) -> str:
    digest = sha256(name.encode()).hexdigest()
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\nroles = ["{ROLES[name]}"]\n'


def as_caller(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {name}"),)


async def only_alert(stubs: Stubs) -> CircularDependencyAlert:
    """Return the alert of the sample's cycle, once detection has written it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await stubs.alerts.ListAlerts(ListAlertsRequest(), metadata=as_caller("rae"))
            for alert in answer.alerts:
                return alert
            await asyncio.sleep(0.05)


async def last_event(stubs: Stubs, alert_id: str) -> AlertEvent:
    request = ListAlertEventsRequest(id=alert_id)
    answer = await stubs.alerts.ListAlertEvents(request, metadata=as_caller("rae"))
    event: AlertEvent = answer.events[-1]
    return event


async def opened_as(name: str, open_page: OpenPage, troubles: Troubles, address: str) -> "Page":
    # The server refuses the first call: that is how the page learns that it needs a token.
    troubles.allow("401")
    page = await open_page(address)
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Token").fill(name)
    await dialog.get_by_role("button").click()
    await expect(dialog).to_have_count(0)
    await shown(page, address)
    return page


async def test_a_reader_sees_the_alert_and_no_button_that_writes(
    open_page: OpenPage, troubles: Troubles, stubs: Stubs
) -> None:
    alert = await only_alert(stubs)
    page = await opened_as("rae", open_page, troubles, f"#/cycles/{alert.id}")
    await expect(page.locator(".alert-facts")).to_contain_text(" → ".join(alert.cycle_path))
    await expect(page.locator(".actions")).to_have_text(
        "To acknowledge or resolve alerts takes the role operator."
    )
    assert await page.locator("main form:has(button[type=submit])").count() == 0


async def test_an_operator_acknowledges_and_resolves_under_the_own_name(
    open_page: OpenPage, troubles: Troubles, stubs: Stubs
) -> None:
    alert = await only_alert(stubs)
    page = await opened_as("ann", open_page, troubles, f"#/cycles/{alert.id}")
    assert await violations(page) == []
    await page.get_by_role("button", name="Acknowledge as ann").click()
    await expect(page.locator(".alert-facts")).to_contain_text("Looked after by")
    event = await last_event(stubs, alert.id)
    assert (event.kind, event.actor) == (AlertEventKind.ALERT_EVENT_KIND_ACKNOWLEDGED, "ann")
    assert (await only_alert(stubs)).acknowledged_by == "ann"
    await expect(page.locator(".history li").first).to_contain_text("acknowledged by ann")

    troubles.allow("400")
    await page.get_by_label("How it ended").fill("   ")
    await page.get_by_role("button", name="Resolve").click()
    await expect(page.locator(".actions form [role=alert]:visible")).to_contain_text("blank")
    await expect(page.get_by_label("How it ended")).to_have_attribute("aria-invalid", "true")
    assert (await only_alert(stubs)).status == AlertStatus.ALERT_STATUS_ACKNOWLEDGED

    await page.get_by_label("How it ended").fill(NOTES)
    await page.get_by_role("button", name="Resolve").click()
    await expect(page.locator(".alert-facts")).to_contain_text(NOTES)
    event = await last_event(stubs, alert.id)
    assert (event.kind, event.actor, event.note) == (
        AlertEventKind.ALERT_EVENT_KIND_RESOLVED,
        "ann",
        NOTES,
    )
    # A resolved alert can be neither acknowledged nor resolved again.
    await expect(page.locator(".actions form")).to_have_count(0)
