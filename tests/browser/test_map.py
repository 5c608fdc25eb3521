"""The view Map: what it draws and lists is what GetMap answers."""

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from depgraph.v1.dependency_service_pb2 import BatchUpsertDependenciesRequest
from depgraph.v1.graph_service_pb2 import GetMapRequest, GetMapResponse, MapNode
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_ASYNC
from tests.support.browser import PHONE, Console, OpenPage
from tests.support.calls import FRESH, Stubs, edges
from tests.support.console_worlds import TEAMS, company_of_teams

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

CELLS = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
PLACES = """
() => Object.fromEntries([...document.querySelectorAll(".graph .node")].map((node) =>
  [node.querySelector("title").textContent.split("\\n")[0], node.getAttribute("transform")]))
"""


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    return company_of_teams()


async def answer(stubs: Stubs, **said: Any) -> GetMapResponse:
    found: GetMapResponse = await stubs.graph.GetMap(GetMapRequest(consistency=FRESH, **said))
    return found


def label(node: MapNode, none: str = "no team") -> str:
    if node.HasField("service"):
        return node.service.service_id
    return node.group or none


async def listed(page: "Page", caption: str) -> list[list[str]]:
    """All rows of a table."""
    rows = page.get_by_role("table", name=caption).locator("tbody tr")
    found: list[list[str]] = await rows.evaluate_all(CELLS)
    return found


async def open_tables(page: "Page") -> None:
    await page.get_by_text("The same as tables").click()
    more = page.get_by_role("button", name=re.compile("^Show .* more$"))
    while await more.count():
        await more.first.click()


def calls_of(found: GetMapResponse) -> list[list[str]]:
    counts = ("pair_count", "sync_count", "async_count", "unknown_count", "stale_count")
    return [
        [
            label(found.nodes[each.source]),
            label(found.nodes[each.target]),
            *(f"{getattr(each.calls, count):,}" for count in counts),
        ]
        for each in found.calls
    ]


def nodes(page: "Page") -> "Locator":
    return page.locator(".graph .node")


async def test_teams_and_the_calls_between_them_are_those_of_get_map(
    open_page: OpenPage, stubs: Stubs
) -> None:
    page = await open_page("#/map")
    found = await answer(stubs)
    assert found.group_count == 40
    assert await nodes(page).count() == 40
    await open_tables(page)
    rows = await listed(page, "Nodes")
    assert [(row[0], int(row[2]), int(row[3])) for row in rows] == [
        (each.group, each.service_count, each.inner_calls.pair_count) for each in found.nodes
    ]
    assert await listed(page, "Calls from one node to another") == calls_of(found)
    between = sum(each.calls.pair_count for each in found.calls)
    inside = sum(each.inner_calls.pair_count for each in found.nodes)
    words = f"40 teams with 1,000 services: {between:,} calls between them, {inside:,} inside one of them."
    assert await page.get_by_text(words).is_visible()


async def test_arrows_of_few_calls_come_when_they_are_asked_for(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/map")
    counts = [each.calls.pair_count for each in (await answer(stubs)).calls]
    least = int(await page.get_by_label("Arrows of").input_value())
    arrows = page.locator(".graph .edge")
    assert least > 1
    assert await arrows.count() == sum(count >= least for count in counts) <= 120
    await page.get_by_label("Arrows of").select_option("1")
    assert await arrows.count() == len(counts)
    await page.get_by_label("Arrows of").select_option("10")
    assert await arrows.count() == sum(count >= 10 for count in counts)
    assert "least=10" in page.url


async def test_a_group_opens_to_its_services_and_back(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/map")
    await page.get_by_role("button", name=re.compile("^billing, group of 25 services")).click()
    await page.wait_for_url("**/#/map/billing")
    await Console.shown(page, "#/map/billing")
    found = await answer(stubs, inside="billing")
    assert await nodes(page).count() == len(found.nodes)
    await open_tables(page)
    assert [row[0] for row in await listed(page, "Nodes")] == [label(each) for each in found.nodes]
    assert await listed(page, "Calls from one node to another") == calls_of(found)
    assert await page.get_by_role("button", name="Copy command").get_attribute("title") == (
        "depgraph map --inside billing --top 100"
    )
    await page.get_by_role("navigation", name="Where in the map").get_by_role("link").click()
    await Console.shown(page, "#/map")
    assert await nodes(page).count() == 40


async def test_a_service_leads_to_its_focus_and_all_goes_by_keyboard(open_page: OpenPage) -> None:
    page = await open_page("#/map/billing")
    find = page.get_by_label("Find")
    await find.fill("billing-web")
    await page.get_by_text(re.compile("^2 of ")).wait_for()
    dimmed = page.locator(".graph .picture.lit .node:not(.near)")
    assert await dimmed.count() == await nodes(page).count() - 2
    await find.fill("billing-ledger")
    await find.press("Enter")
    await page.wait_for_url("**/#/focus/billing-ledger*")


async def test_services_are_grouped_by_a_key_of_their_metadata(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/map")
    by = page.get_by_label("By team, or by this key of the metadata")
    await by.fill("namespace")
    await by.press("Enter")
    await Console.shown(page, "#/map?by=namespace")
    found = await answer(stubs, metadata_key="namespace")
    await open_tables(page)
    assert [row[0] for row in await listed(page, "Nodes")] == [each.group for each in found.nodes]
    assert await page.get_by_role("button", name="Copy command").get_attribute("title") == (
        "depgraph map --by namespace --top 100"
    )
    await Console.view(page, "#/map?by=nothing")
    await page.get_by_role("button", name=re.compile("^no nothing, group of")).click()
    await page.wait_for_url("**/#/map?by=nothing&inside=none")
    await page.get_by_text(re.compile("services of no nothing")).wait_for()


async def test_filters_are_those_of_the_question(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/map?modes=async&stale=1&nodes=300")
    found = await answer(
        stubs,
        include_stale=True,
        max_nodes=300,
        filter={"communication_modes": [COMMUNICATION_MODE_ASYNC]},
    )
    await open_tables(page)
    assert await listed(page, "Calls from one node to another") == calls_of(found)
    assert await page.get_by_role("button", name="Copy command").get_attribute("title") == (
        "depgraph map --mode async --include-stale --top 300"
    )
    await page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
    )
    await page.get_by_role("button", name="Copy curl").click()
    await page.wait_for_function("() => window.copied")
    assert json.loads(re.findall(r"-d '(.*?)'", await page.evaluate("window.copied"))[0]) == {
        "includeStale": True,
        "filter": {"communicationModes": ["COMMUNICATION_MODE_ASYNC"]},
        "maxNodes": 300,
    }


async def test_few_nodes_leave_one_for_all_others_which_opens_more(open_page: OpenPage) -> None:
    page = await open_page("#/map?nodes=10")
    assert await nodes(page).count() == 10
    await page.get_by_role("button", name=re.compile("^31 other groups")).click()
    await Console.shown(page, "#/map?nodes=300")
    assert await nodes(page).count() == 40


async def test_a_change_moves_nothing_that_is_drawn(open_page: OpenPage, stubs: Stubs) -> None:
    page = await open_page("#/map/search")
    before = await page.evaluate(PLACES)
    team = next(each for each in TEAMS if each not in before)
    await page.evaluate("window.stays = true")
    # A group that was not around comes in.
    written = edges(f"search-web>{team}-ledger")
    await stubs.dependencies.BatchUpsertDependencies(BatchUpsertDependenciesRequest(dependencies=written))
    await nodes(page).filter(has_text=team).wait_for()
    after = await page.evaluate(PLACES)
    assert len(after) == len(before) + 1
    x = {name: place for name, place in after.items() if name in before}
    moved = [name for name in before if distance(before[name], x[name]) > 60]
    assert moved == []
    assert await page.evaluate("window.stays")


def distance(one: str, other: str) -> float:
    a, b = (tuple(map(float, re.findall(r"[-\d.]+", each))) for each in (one, other))
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


async def test_it_can_be_used_on_a_phone_and_by_everybody(open_page: OpenPage) -> None:
    page = await open_page("#/map", viewport=PHONE, color_scheme="dark")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await Console.violations(page) == []
    wide = await open_page("#/map/billing")
    assert await Console.violations(wide) == []


async def test_a_group_that_does_not_exist_says_so(open_page: OpenPage, troubles: Any) -> None:
    troubles.allow("404 (Not Found)")
    page = await open_page("#/map/nobody")
    assert "nobody" in await page.get_by_role("main").get_by_role("alert").inner_text()
