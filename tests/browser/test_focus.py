"""The view Focus: a service with those around it, and the panel beside it."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1 import types_pb2 as types
from tests.support.browser import PHONE, Console, OpenPage, Troubles

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Locator, Page

    from tests.support.calls import Stubs

CENTER = "checkout"


def node(page: "Page", name: str) -> "Locator":
    """The node of a service in the picture."""
    return page.locator(f".picture .node[aria-label^='{name},']")


async def names(page: "Page") -> set[str]:
    """The services in the picture."""
    titles = await page.locator(".picture .node.service title").all_text_contents()
    return {title.split("\n")[0] for title in titles}


async def edge_count(page: "Page") -> int:
    return await page.locator(".picture .edge").count()


async def around(stubs: "Stubs", name: str, hops: int, **fields: Any) -> graph.TraverseResponse:
    """What Traverse finds around a service, in both directions."""
    request = graph.TraverseRequest(
        service_id=name, direction=graph.DIRECTION_BOTH, max_depth=hops, effective=True, **fields
    )
    found: graph.TraverseResponse = await stubs.graph.Traverse(request)
    return found


async def test_the_start_shows_a_critical_service_with_its_neighbours(page: "Page", stubs: "Stubs") -> None:
    await page.wait_for_selector(".node.center")
    name = await page.locator("h1").inner_text()
    # As in the picture of README.md.
    assert name == "checkout"
    found = await around(stubs, name, 2)
    assert await names(page) == {name, *found.service_ids}
    assert "critical" in (await page.locator(".node.center").get_attribute("class") or "")


@pytest.mark.parametrize("hops", [1, 2, 4])
async def test_the_picture_shows_what_traverse_finds(open_page: OpenPage, stubs: "Stubs", hops: int) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops={hops}")
    found = await around(stubs, CENTER, hops)
    assert await names(page) == {CENTER, *found.service_ids}
    assert await edge_count(page) == len(found.effective_dependencies)


async def test_callers_are_left_and_callees_right_of_it(open_page: OpenPage) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    center, caller, callee = [
        await node(page, name).bounding_box() for name in (CENTER, "storefront", "payments")
    ]
    assert center
    assert caller
    assert callee
    assert caller["x"] + caller["width"] < center["x"]
    assert center["x"] + center["width"] < callee["x"]


async def test_a_click_moves_the_focus_and_the_back_button_returns(
    open_page: OpenPage, console: Console
) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    await node(page, "payments").click()
    await console.shown(page, "#/focus/payments?hops=1")
    assert await page.locator("h1").inner_text() == "payments"
    await page.go_back()
    await console.shown(page, f"#/focus/{CENTER}?hops=1")
    assert await page.locator("h1").inner_text() == CENTER


async def test_the_keyboard_alone_goes_from_service_to_service(open_page: OpenPage, console: Console) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    await page.locator(".node[tabindex='0']").focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")
    await console.shown(page, "#/focus/storefront?hops=1")
    focused = await page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("storefront,")


async def test_the_space_bar_shows_details_beside_the_picture(open_page: OpenPage) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    await page.locator(".node[tabindex='0']").focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press(" ")
    await page.locator(".panel h2", has_text="storefront").wait_for()
    assert page.url.endswith(f"#/focus/{CENTER}?hops=1&selected=storefront")
    assert await page.locator("h1").inner_text() == CENTER
    assert await node(page, "storefront").get_attribute("class")
    await page.reload()
    await page.locator(".panel h2", has_text="storefront").wait_for()


async def test_hops_and_direction_are_in_the_address(open_page: OpenPage, stubs: "Stubs") -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    await page.get_by_role("radio", name="3").check()
    found = await around(stubs, CENTER, 3)
    await page.wait_for_function(
        "(count) => document.querySelectorAll('.picture .node').length === count",
        arg=len(found.service_ids) + 1,
    )
    await page.get_by_role("radio", name="callers").check()
    await page.locator(".focus-summary", has_text="1 caller within 3 hops, all shown.").wait_for()
    assert page.url.endswith(f"#/focus/{CENTER}?hops=3&direction=upstream")
    assert await names(page) == {CENTER, "storefront"}


async def test_filters_stay_together_and_say_how_many_are_in_force(
    open_page: OpenPage, stubs: "Stubs"
) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=2")
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_role("checkbox", name="async").uncheck()
    await page.get_by_role("checkbox", name="soft").uncheck()
    await page.get_by_role("button", name="Filters (2)").wait_for()
    await page.keyboard.press("Escape")
    assert "modes=sync%2Cunknown&criticalities=hard%2Cdegraded%2Cunknown" in page.url
    kept = graph.EdgeFilter(
        communication_modes=[types.COMMUNICATION_MODE_SYNC, types.COMMUNICATION_MODE_UNKNOWN],
        criticalities=[
            types.DEPENDENCY_CRITICALITY_HARD,
            types.DEPENDENCY_CRITICALITY_DEGRADED,
            types.DEPENDENCY_CRITICALITY_UNKNOWN,
        ],
    )
    found = await around(stubs, CENTER, 2, filter=kept)
    await page.wait_for_function(
        "(count) => document.querySelectorAll('.picture .edge').length === count",
        arg=len(found.effective_dependencies),
    )
    assert await names(page) == {CENTER, *found.service_ids}


async def test_a_group_is_opened_and_closed_again(open_page: OpenPage) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1&most=2")
    await page.locator(".focus-summary", has_text="Showing").wait_for()
    assert "of 6 callees within 1 hop; the rest in" in await page.locator(".focus-summary").inner_text()
    group = page.locator(".picture .node.group").first
    label = (await group.locator("title").text_content() or "").split("\n")[0]
    before = await names(page)
    await group.click()
    close = page.get_by_role("button", name=f"Close the group {label}")
    await close.wait_for()
    assert f"1.{label}" in page.url
    assert await names(page) != before
    await close.click()
    await close.wait_for(state="detached")
    assert await names(page) == before


async def test_the_list_holds_what_the_picture_holds(open_page: OpenPage, stubs: "Stubs") -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=2", viewport=PHONE)
    await page.locator(".focus-list > summary").click()
    # The list is filled when it has opened, which the browser says a moment later.
    await page.locator(".focus-list tbody a").first.wait_for()
    links = await page.locator(".focus-list tbody a").all_text_contents()
    assert set(links) == set((await around(stubs, CENTER, 2)).service_ids)
    link = page.get_by_role("link", name="fraud-scoring", exact=True)
    row = page.locator(".focus-list tbody tr").filter(has=link)
    assert "called by payments sync, soft" in await row.inner_text()
    assert await page.evaluate("() => document.documentElement.scrollWidth") == PHONE["width"]


async def test_the_panel_says_which_source_each_field_is_from(open_page: OpenPage) -> None:
    page = await open_page(f"#/focus/{CENTER}?hops=1")
    item = page.locator(".panel-dependency").filter(has=page.locator("summary", has_text="storefront"))
    await item.locator("summary").click()
    rows = await item.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    shown = {row[0]: row[1:] for row in rows}
    assert shown["Timeout"] == ["3,000 ms", "manual"]
    assert shown["Mode"] == ["sync", "manual"]
    assert shown["Confidence"] == ["1", "manual"]
    reports = item.locator(".panel-reports li")
    await reports.first.wait_for()
    texts = await reports.all_text_contents()
    assert sorted(text.split(":")[0] for text in texts) == ["manual", "otel service graph"]
    assert any("confidence 0.98" in text for text in texts)


async def test_the_panel_leads_to_the_alert_of_a_cycle(open_page: OpenPage) -> None:
    page = await open_page("#/focus/pricing?hops=2")
    note = page.locator(".panel-alert")
    await note.wait_for()
    assert "one of 3 services" in await note.inner_text()
    assert "#/cycles/" in (await note.get_by_role("link").first.get_attribute("href") or "")
    assert await page.locator(".picture .edge.cyclic").count() == 3


async def test_a_change_in_the_database_moves_the_picture_and_nothing_else(
    open_page: OpenPage, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = await open_page("#/focus/search?hops=1")
    await page.locator(".node[tabindex='0']").focus()
    await page.keyboard.press("+")
    await page.wait_for_function("() => !document.querySelector('.picture.moving')")
    before = await node(page, "search").locator(".box").bounding_box()
    await connection.execute(
        "WITH made AS (INSERT INTO services (service_id) VALUES ('brand-new') RETURNING id)"
        " INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
        " SELECT made.id, services.id, 'sync' FROM made, services WHERE services.service_id = 'search'"
    )
    await node(page, "brand-new").wait_for()
    after = await node(page, "search").locator(".box").bounding_box()
    assert before
    assert after
    assert after["width"] == pytest.approx(before["width"], abs=0.5)
    assert after["x"] == pytest.approx(before["x"], abs=1)
    focused = await page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("search,")
    await page.locator(".panel", has_text="brand-new").wait_for()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("hops=eleven", '"hops" in the address is "eleven"; it must be between 1 and 10.'),
        ("hops=1.5", '"hops" in the address is "1.5"; it must be a whole number.'),
        ("modes=sync,fast", '"modes" in the address is "fast"; it must be of sync, async, unknown.'),
        ("direction=up", '"direction" in the address is "up"; it must be upstream or downstream.'),
        ("confidence=2", '"confidence" in the address is "2"; it must be between 0 and 1.'),
        ("most=301", '"most" in the address is "301"; it must be between 1 and 250.'),
        ("opened=payments", '"opened" in the address holds "payments"'),
    ],
)
async def test_an_address_that_means_nothing_says_which_part(
    open_page: OpenPage, params: str, said: str
) -> None:
    page = await open_page(f"#/focus/{CENTER}?{params}")
    assert said in await page.locator("#main").inner_text()


async def test_a_service_that_does_not_exist_is_named(open_page: OpenPage, troubles: Troubles) -> None:
    # Chromium writes every answer that is no success into its console.
    troubles.allow("404")
    page = await open_page(f"#/focus/{quote('no/such <b>', safe='')}")
    assert "no/such <b>" in await page.locator("#main").inner_text()


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "color_scheme": "dark"}])
async def test_axe_finds_nothing(open_page: OpenPage, console: Console, options: dict[str, Any]) -> None:
    page = await open_page("#/focus/pricing?hops=2&modes=sync", **options)
    await page.locator(".panel-alert").wait_for()
    await page.locator(".panel-dependency summary").first.click()
    await page.locator(".panel-reports li").first.wait_for()
    await page.locator(".focus-list > summary").click()
    await page.get_by_role("button", name="Filters").click()
    assert await console.violations(page) == []
