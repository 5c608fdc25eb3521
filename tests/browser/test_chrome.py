"""What stands around the views: search, tabs, help, buttons that copy, pages in a view's place."""

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from depgraph.v1.alert_service_pb2 import ListAlertsRequest
from depgraph.v1.graph_service_pb2 import GetNeighbourhoodRequest
from depgraph.v1.types_pb2 import ALERT_STATUS_OPEN
from tests.support.browser import PHONE, Console, OpenPage, Troubles, shown, violations
from tests.support.calls import Stubs

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

NASTY = ["it's", 'a "b" $HOME `id`', "<b>x</b>", "-rf", "a b", "\u05d0\u05d1\u05d2", "x" * 255, "a/b?c#d%20"]
DEFECT = 'export const view = { id: "drift", title: "Drift", async show() { throw new Error("a defect"); } };'


def search_field(page: "Page") -> "Locator":
    return page.get_by_role("combobox", name="Search services")


def options(page: "Page") -> "Locator":
    return page.get_by_role("search").get_by_role("option")


async def look_for(page: "Page", text: str, found: str) -> "Locator":
    """Write into the search field, and wait for the option that holds ``found``."""
    await page.keyboard.press("/")
    await search_field(page).fill(text)
    option = options(page).filter(has_text=found).first
    await option.wait_for()
    return option


async def test_the_start_leads_to_the_address_of_the_service_that_the_server_chooses(
    page: "Page", stubs: Stubs
) -> None:
    chosen = (await stubs.graph.GetNeighbourhood(GetNeighbourhoodRequest())).center.service_id
    assert page.url.endswith(f"#/focus/{chosen}")
    assert chosen in await page.title()
    assert await page.get_by_role("heading", level=1).inner_text() == chosen


async def test_a_match_shows_team_criticality_and_callers_and_leads_to_the_service(page: "Page") -> None:
    option = await look_for(page, "pay", "payments")
    text = await option.inner_text()
    assert all(each in text for each in ("team payments", "critical", "1 caller")), text
    await page.keyboard.press("Enter")
    await shown(page, "#/focus/payments")
    assert await search_field(page).input_value() == ""


async def test_a_misspelt_name_shows_similar_ones_and_enter_takes_none_unseen(page: "Page") -> None:
    before = page.url
    await look_for(page, "paymnets", "payments")
    assert "No service holds “paymnets”" in await page.get_by_role("search").inner_text()
    await page.keyboard.press("Enter")
    assert page.url == before
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await shown(page, "#/focus/payments")


async def test_a_name_that_no_service_resembles_says_so(page: "Page") -> None:
    await page.keyboard.press("/")
    await search_field(page).fill("qqqqqqqq")
    await page.get_by_text("No service holds “qqqqqqqq”.").first.wait_for()


async def test_a_team_can_be_completed_and_searched(page: "Page") -> None:
    await (await look_for(page, "team:comm", "team:commerce")).click()
    await options(page).filter(has_text="pricing").wait_for()
    texts = await options(page).all_inner_texts()
    assert all("team commerce" in text for text in texts), texts


async def test_an_unknown_kind_names_those_there_are(page: "Page") -> None:
    await page.keyboard.press("/")
    await search_field(page).fill("kind:robot")
    await page.get_by_text("service, database, queue, gateway, external").first.wait_for()


async def test_the_tabs_take_the_service_along(page: "Page", console: Console) -> None:
    await console.view(page, "#/focus/payments")
    views = page.get_by_role("navigation", name="Views")
    await views.get_by_role("link", name="Impact").click()
    await shown(page, "#/impact/payments")
    assert await views.locator("[aria-current=page]").inner_text() == "Impact"
    assert "payments" in await page.title()
    await views.get_by_role("link", name="Paths").click()
    await shown(page, "#/paths/payments")


async def test_the_tab_of_cycles_counts_the_open_alerts(page: "Page", stubs: Stubs) -> None:
    alerts = await stubs.alerts.ListAlerts(ListAlertsRequest(status=ALERT_STATUS_OPEN))
    await page.get_by_role("link", name=f"Cycles {len(alerts.alerts)} open").wait_for()


async def test_navigation_moves_the_focus_and_back_restores_the_scroll(
    open_page: OpenPage, console: Console
) -> None:
    page = await open_page("#/focus/checkout", viewport={"width": 500, "height": 300})
    await page.evaluate("scrollTo(0, 200)")
    await page.wait_for_function("() => history.state?.scroll === 200")
    await console.view(page, "#/status")
    assert await page.evaluate("document.activeElement.id") == "main"
    assert await page.evaluate("scrollY") == 0
    await page.go_back()
    await shown(page, "#/focus/checkout")
    await page.wait_for_function("() => scrollY === 200")


async def test_the_first_tab_stop_leads_past_the_header(open_page: OpenPage) -> None:
    page = await open_page("#/status")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    assert page.url.endswith("#/status")


async def test_an_unknown_view_lists_those_there_are(open_page: OpenPage) -> None:
    page = await open_page("#/nonsense")
    await page.get_by_role("heading", name="There is no such page").wait_for()
    assert await page.locator("main").get_by_role("link").count() == 10


@pytest.mark.parametrize("view", ["focus", "impact"])
async def test_an_unknown_service_suggests_those_of_similar_names(
    open_page: OpenPage, troubles: Troubles, view: str
) -> None:
    troubles.allow("404")
    page = await open_page(f"#/{view}/paymnets")
    await page.locator("main").get_by_role("link", name="payments").first.click()
    await shown(page, f"#/{view}/payments")


async def test_a_view_with_a_defect_shows_it_and_leaves_the_rest_usable(
    open_page: OpenPage, troubles: Troubles, console: Console
) -> None:
    troubles.allow("a defect")
    page = await open_page("#/status")
    script = {"content_type": "text/javascript", "body": DEFECT}
    await page.route("**/views/drift.js", lambda route: route.fulfill(**script))
    await page.reload()
    await console.view(page, "#/drift")
    await page.get_by_text("Error: a defect").wait_for()
    await console.view(page, "#/focus/payments")
    assert await page.get_by_role("heading", level=1).inner_text() == "payments"


async def test_commands_to_copy_are_quoted_so_that_a_shell_reads_the_same_words(page: "Page") -> None:
    script = """async (names) => {
      const { commandLine } = await import("/lib/shell.js");
      return commandLine(["depgraph", "paths", "--hops", 2], names);
    }"""
    line = await page.evaluate(script, NASTY)
    assert shlex.split(line) == ["depgraph", "paths", "--hops", "2", "--", *NASTY]


async def test_a_call_to_copy_holds_the_request_and_never_the_token(page: "Page") -> None:
    script = """async (name) => {
      const { curl } = await import("/lib/shell.js");
      return curl("GraphService/Traverse", { serviceId: name }, { withToken: true });
    }"""
    words = shlex.split(await page.evaluate(script, NASTY[1]))
    assert json.loads(words[words.index("-d") + 1]) == {"serviceId": NASTY[1]}
    assert words[-1].endswith("/depgraph.v1.GraphService/Traverse")
    assert "Authorization: Bearer $DEPGRAPH_TOKEN" in words


WITHOUT_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"


@pytest.mark.parametrize("script", ["", WITHOUT_CLIPBOARD], ids=["clipboard", "plain http of another host"])
async def test_a_button_copies_the_address_and_says_so(open_page: OpenPage, script: str) -> None:
    page = await open_page("#/focus/payments", permissions=["clipboard-read", "clipboard-write"])
    await page.evaluate(f"() => {{ window.clip = navigator.clipboard; {script} }}")
    await page.get_by_role("button", name="Copy link").click()
    await page.get_by_role("button", name="Copied").wait_for()
    await page.wait_for_function(
        "() => document.getElementById('said').textContent.startsWith('Copied: http')"
    )
    assert await page.evaluate("window.clip.readText()") == page.url


async def test_what_cannot_be_copied_is_shown_for_the_person_to_copy(open_page: OpenPage) -> None:
    page = await open_page("#/focus/payments")
    await page.evaluate(f"() => {{ {WITHOUT_CLIPBOARD} document.execCommand = () => false; }}")
    await page.get_by_role("button", name="Copy link").click()
    assert await page.get_by_role("dialog").get_by_role("textbox").input_value() == page.url


LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light"},
    {"color_scheme": "dark", "viewport": PHONE},
]


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark on a phone"])
async def test_axe_finds_nothing_in_the_frame(open_page: OpenPage, troubles: Troubles, look: Any) -> None:
    troubles.allow("404")
    page = await open_page("#/nonsense", **look)
    await look_for(page, "p", "payments")
    assert await violations(page) == []
    await search_field(page).fill("qqqqqqqq")
    await page.get_by_text("No service holds “qqqqqqqq”.").first.wait_for()
    assert await violations(page) == []
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Help").click()
    assert await violations(page) == []


async def test_a_phone_scrolls_in_one_direction_alone(open_page: OpenPage) -> None:
    page = await open_page("#/nonsense", viewport=PHONE)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("button", name="Help").click()
    dialog = page.get_by_role("dialog")
    assert await dialog.evaluate("(element) => element.scrollWidth <= element.clientWidth")
