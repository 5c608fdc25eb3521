"""The view Cycles on a server that asks nobody who they are: alerts, cuts, a name on demand."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from depgraph.v1.alert_service_pb2 import ListAlertEventsRequest, ListAlertsRequest
from depgraph.v1.analysis_service_pb2 import SuggestCutsRequest
from depgraph.v1.types_pb2 import ALERT_STATUS_OPEN, CircularDependencyAlert
from tests.support.browser import PATIENCE_SECONDS, PHONE, OpenPage, expect, view, violations
from tests.support.calls import Stubs
from tests.support.command import ROOT
from tests.support.console_worlds import nasty_names

if TYPE_CHECKING:
    import asyncpg

SHOP, NASTY = 3, 33
LONGEST_NAME = "<i>" + "ﷺ" * 252


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    """The sample, whose prices call themselves round, and a cycle of names of every nasty kind."""
    sample: list[dict[str, Any]] = json.loads((ROOT / "examples/online_shop.json").read_text())
    return [*sample, *nasty_names()]


async def alert_of_size(stubs: Stubs, size: int) -> CircularDependencyAlert:
    """Wait for detection's alert of a component."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            answer = await stubs.alerts.ListAlerts(ListAlertsRequest())
            for alert in answer.alerts:
                if alert.size == size:
                    return alert
            await asyncio.sleep(0.05)


async def test_the_list_holds_the_alerts_of_the_answer(open_page: OpenPage, stubs: Stubs) -> None:
    alerts = [await alert_of_size(stubs, size) for size in (SHOP, NASTY)]
    page = await open_page("#/cycles")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    cycles = await page.locator("tbody .path").evaluate_all("paths => paths.map((path) => path.title)")
    assert sorted(cycles) == sorted(" → ".join([*alert.cycle_path, alert.cycle_path[0]]) for alert in alerts)
    await rows.filter(has_text="loyalty").get_by_role("link").click()
    await expect(page.locator(".alert-facts")).to_contain_text(" → ".join(alerts[0].cycle_path))


async def test_the_cycle_is_drawn_and_the_cuts_are_those_of_the_answer(
    open_page: OpenPage, stubs: Stubs
) -> None:
    alert = await alert_of_size(stubs, SHOP)
    answer = await stubs.analyses.SuggestCuts(SuggestCutsRequest(service_id=alert.cycle_path[0]))
    page = await open_page(f"#/cycles/{alert.id}")
    await expect(page.locator("svg.picture .node")).to_have_count(SHOP)
    await expect(page.locator("svg.picture .edge.sync")).to_have_count(SHOP)
    await expect(page.locator("svg.picture .edge.marked")).to_have_count(len(answer.cuts))
    cuts = await page.locator('.cuts td[data-title="Cut"] .path').evaluate_all(
        "all => all.map((each) => each.title)"
    )
    assert cuts == [f"{cut.source_service_id} → {cut.target_service_id}" for cut in answer.cuts]
    await expect(page.locator(".cuts")).to_contain_text(
        f"Total cost {answer.total_cost:.2f} (proven minimum)"
    )
    assert await page.locator(".members a").all_inner_texts() == list(alert.members)
    assert await violations(page) == []


async def test_the_cycle_is_looked_up_by_one_request(open_page: OpenPage, stubs: Stubs) -> None:
    alert = await alert_of_size(stubs, SHOP)
    page = await open_page("#/drift")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    await view(page, f"#/cycles/{alert.id}")
    await expect(page.locator("svg.picture .node:not(.unknown)")).to_have_count(SHOP)
    await expect(page.locator("svg.picture .edge.sync")).to_have_count(SHOP)
    assert asked.count("BatchTraverse") == 1
    assert not {"GetService", "FindPaths"} & set(asked)


async def test_names_stay_text_and_fit_a_phone(open_page: OpenPage, stubs: Stubs) -> None:
    alert = await alert_of_size(stubs, NASTY)
    page = await open_page(f"#/cycles/{alert.id}", viewport=PHONE)
    members = page.locator(".members a")
    await expect(members).to_have_count(NASTY)
    titles = await members.evaluate_all("all => all.map((each) => [each.title, each.textContent])")
    assert titles == [[name, name] for name in alert.members]
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_who_has_no_identity_gives_a_name(open_page: OpenPage, stubs: Stubs) -> None:
    alert = await alert_of_size(stubs, NASTY)
    page = await open_page(f"#/cycles/{alert.id}")
    await expect(page.get_by_label("Your name")).to_have_attribute("required", "")
    await page.get_by_label("Your name").fill(LONGEST_NAME)
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator(".alert-facts bdi", has_text="<i>")).to_have_text(LONGEST_NAME)
    events = await stubs.alerts.ListAlertEvents(ListAlertEventsRequest(id=alert.id))
    assert events.events[-1].actor == LONGEST_NAME


async def test_a_cycle_that_goes_is_resolved_in_sight_and_the_list_says_that_there_is_none(
    open_page: OpenPage, stubs: Stubs, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    alert = await alert_of_size(stubs, SHOP)
    assert alert.status == ALERT_STATUS_OPEN
    page = await open_page(f"#/cycles/{alert.id}")
    await expect(page.locator(".actions form")).to_have_count(2)
    await connection.execute(
        "DELETE FROM service_dependencies AS call USING services AS source"
        " WHERE source.id = call.source_service_id AND source.service_id = 'loyalty'"
    )
    await expect(page.locator(".alert-facts")).to_contain_text("no longer; it was a component of 3 services")
    await expect(page.locator(".actions form")).to_have_count(0)
    await page.goto("/#/cycles?status=open")
    await expect(page.locator("main .table-empty")).to_contain_text("No open alerts")
