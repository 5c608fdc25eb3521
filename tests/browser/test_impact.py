"""The view Impact shows what AnalyzeImpact answers, and holds its state in the address."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from depgraph.v1.analysis_service_pb2 import AnalyzeImpactRequest, AnalyzeImpactResponse
from depgraph.v1.types_pb2 import Criticality, DependencyCriticality
from tests.support.browser import PHONE, OpenPage, Troubles, expect, violations
from tests.support.calls import Stubs
from tests.support.command import ROOT
from tests.support.console_worlds import NASTY_CENTER, NASTY_NAMES, nasty_names

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Page

HUB, CALLERS = "hub", 70
ROWS = """
() => [...document.querySelectorAll(".impact-list tbody tr")].map((row) =>
  [...row.cells].map((cell) => cell.querySelector("[title]")?.title ?? cell.innerText.trim()))
"""


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    """The sample, names of every nasty kind, and a service with more callers than are drawn."""
    sample: list[dict[str, Any]] = json.loads((ROOT / "examples/online_shop.json").read_text())
    callers = [f"caller-{number}" for number in range(CALLERS)]
    hub = {
        "discovery_source": "DISCOVERY_SOURCE_MANUAL",
        "nodes": [
            {"service_id": name, "team": f"team-{number % 3}"} for number, name in enumerate([HUB, *callers])
        ],
        "edges": [
            {
                "source_service_id": name,
                "target_service_id": HUB,
                "communication_mode": "COMMUNICATION_MODE_SYNC",
            }
            for name in callers
        ],
    }
    return [*sample, *nasty_names(), hub]


async def analyzed(stubs: Stubs, name: str) -> AnalyzeImpactResponse:
    whole = AnalyzeImpactResponse()
    async for part in stubs.analyses.AnalyzeImpact(AnalyzeImpactRequest(service_id=name)):
        whole.MergeFrom(part)
    return whole


def row_of(found: Any) -> list[str]:
    weakest = DependencyCriticality.Name(found.weakest_criticality)
    return [
        found.service_id,
        found.team if found.HasField("team") else "no team",
        Criticality.Name(found.criticality).removeprefix("CRITICALITY_").lower(),
        str(found.hops),
        weakest.removeprefix("DEPENDENCY_CRITICALITY_").lower(),
        " → ".join(found.path),
    ]


async def shown_rows(page: "Page", count: int) -> list[list[str]]:
    await expect(page.locator(".impact-list tbody tr")).to_have_count(count)
    rows: list[list[str]] = await page.evaluate(ROWS)
    return rows


async def test_the_list_holds_the_services_of_the_answer(open_page: OpenPage, stubs: Stubs) -> None:
    answer = await analyzed(stubs, "inventory")
    page = await open_page("#/impact/inventory")
    assert await shown_rows(page, len(answer.services)) == [row_of(each) for each in answer.services]
    await expect(page.locator(".headline").first).to_contain_text(
        f"{answer.summary.service_count} services hit when inventory fails"
    )
    await expect(page.locator(".headline").first).to_contain_text(
        f"At most {answer.summary.max_hops} hops away. {answer.summary.sync_count} by synchronous calls alone"
    )


async def test_team_and_strength_filter_the_list_and_stand_in_the_address(
    open_page: OpenPage, stubs: Stubs
) -> None:
    answer = await analyzed(stubs, "inventory")
    page = await open_page("#/impact/inventory")
    await page.locator(".strengths").get_by_role("button", name="soft").click()
    await page.locator(".teams").get_by_role("button", name="discovery").click()
    wanted = [row for row in map(row_of, answer.services) if row[1] == "discovery" and row[4] == "soft"]
    assert wanted
    assert await shown_rows(page, len(wanted)) == wanted
    address = await page.evaluate("location.hash")
    again = await open_page(address)
    assert await shown_rows(again, len(wanted)) == wanted


async def test_a_chosen_service_shows_its_strongest_path_and_the_weakest_link(open_page: OpenPage) -> None:
    page = await open_page("#/impact/inventory")
    await page.locator(".impact-list").get_by_role("link", name="cart").click()
    drawer = page.get_by_role("region", name="How it reaches cart")
    # From docs/impact.md: every path of the cart leads over the catalogue, which goes on.
    await expect(drawer).to_contain_text("cart → catalog → inventory 2 hops")
    await expect(drawer.locator("dd").nth(1)).to_contain_text("soft catalog → inventory")
    await expect(drawer.locator("svg.picture .node")).to_have_count(3)
    assert "selected=cart" in await page.evaluate("location.hash")
    await page.keyboard.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(page.locator(".impact-list").get_by_role("link", name="cart")).to_be_focused()


async def test_a_path_other_than_the_shortest_is_shown_where_it_is_stronger(open_page: OpenPage) -> None:
    page = await open_page("#/impact/inventory?selected=storefront")
    facts = page.locator(".chosen dd")
    await expect(facts.nth(0)).to_contain_text("storefront → checkout → inventory")
    await expect(facts.nth(1)).to_contain_text("hard")
    await expect(facts.nth(2)).to_contain_text("storefront → catalog → inventory")


async def test_many_callers_are_drawn_as_teams(open_page: OpenPage) -> None:
    page = await open_page(f"#/impact/{HUB}")
    picture = page.locator(".impact-picture svg.picture")
    await expect(picture.locator(".node.group")).to_have_count(3)
    assert await picture.locator(".node").count() < CALLERS
    await picture.locator(".node.group", has_text="team-1").click()
    await expect(page.locator(".list-state")).to_contain_text("team team-1")
    rows = await shown_rows(page, 24)
    assert {row[1] for row in rows} == {"team-1"}
    await page.get_by_role("button", name="Draw more").click()
    await expect(picture.locator(".node")).to_have_count(CALLERS + 1)


async def test_a_filter_of_dependencies_asks_the_server_again(open_page: OpenPage, stubs: Stubs) -> None:
    request = AnalyzeImpactRequest(service_id="inventory")
    request.filter.criticalities.append(DependencyCriticality.DEPENDENCY_CRITICALITY_HARD)
    [answer] = [part async for part in stubs.analyses.AnalyzeImpact(request)]
    page = await open_page("#/impact/inventory?criticalities=hard")
    assert await shown_rows(page, len(answer.services)) == [row_of(each) for each in answer.services]


async def test_a_change_of_the_graph_is_shown_without_a_reload(
    open_page: OpenPage, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = await open_page("#/impact/fraud-scoring")
    rows = page.locator(".impact-list tbody tr")
    await expect(rows.first).to_be_visible()
    before = await rows.count()
    await connection.execute(
        "INSERT INTO service_dependencies"
        " (source_service_id, target_service_id, communication_mode, discovery_source)"
        " SELECT source.id, target.id, 'sync', 'manual' FROM services AS source, services AS target"
        " WHERE source.service_id = 'shipping' AND target.service_id = 'fraud-scoring'"
    )
    await expect(page.locator(".impact-list").get_by_role("link", name="shipping")).to_be_visible()
    assert await rows.count() > before


# Each of them reaches, and lists, all others.
@pytest.mark.parametrize("name", [NASTY_NAMES[0], *NASTY_NAMES[-3:-1]])
async def test_every_name_stays_text(open_page: OpenPage, stubs: Stubs, name: str) -> None:
    answer = await analyzed(stubs, name)
    address = f"#/impact/{quote(name, safe='')}?selected={quote(NASTY_CENTER, safe='')}"
    page = await open_page(address, viewport=PHONE)
    rows = await shown_rows(page, len(answer.services))
    assert [row[0] for row in rows] == [each.service_id for each in answer.services]
    await expect(page.locator(".chosen svg.picture .node").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


async def test_an_unknown_service_is_said_with_similar_names(open_page: OpenPage, troubles: Troubles) -> None:
    troubles.allow("404")
    page = await open_page("#/impact/inventry")
    await expect(page.locator(".answer [role=alert]")).to_contain_text("inventry")
    await page.locator(".answer").get_by_role("link", name="inventory").click()
    await expect(page.locator(".headline").first).to_contain_text("inventory fails")


async def test_the_view_is_accessible_in_light_and_dark(open_page: OpenPage) -> None:
    for scheme in ("light", "dark"):
        page = await open_page("#/impact/inventory?selected=storefront", color_scheme=scheme)
        await expect(page.locator(".chosen svg.picture .node").first).to_be_visible()
        await expect(page.locator(".impact-picture svg.picture .node").first).to_be_visible()
        assert await violations(page) == []
