"""An incident from search to acknowledgement, with the keyboard alone."""

from typing import TYPE_CHECKING

from depgraph.v1.alert_service_pb2 import ListAlertsRequest
from depgraph.v1.types_pb2 import ALERT_STATUS_ACKNOWLEDGED
from tests.support.browser import Console, shown
from tests.support.calls import Stubs

if TYPE_CHECKING:
    from playwright.async_api import Page

MOST_STOPS = 120
# What has the focus, as a screen reader names it; "" = nothing has.
FOCUSED = """
() => {
  const element = document.activeElement;
  if (!element || element === document.body) return "";
  const label = element.labels?.[0]?.textContent || element.getAttribute("aria-label");
  return (label || element.textContent || "").trim();
}
"""
IS_VISIBLE = """
() => {
  // Nodes of a picture draw their own ring.
  if (document.activeElement instanceof SVGElement) return true;
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
}
"""


async def tab_to(page: "Page", name: str) -> None:
    """Press Tab until what has this name has the focus; each stop on the way must be seen."""
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        found = await page.evaluate(FOCUSED)
        assert found == "" or await page.evaluate(IS_VISIBLE), f"the focus on “{found}” is not seen"
        if found.startswith(name):
            return
    raise AssertionError(f"Tab does not reach “{name}”")


async def test_from_search_to_an_acknowledged_alert_by_keyboard_alone(
    page: "Page", console: Console, stubs: Stubs
) -> None:
    await page.keyboard.press("/")
    await page.keyboard.type("loyal")
    await page.get_by_role("option").filter(has_text="loyalty").wait_for()
    await page.keyboard.press("Enter")
    await shown(page, "#/focus/loyalty")

    await tab_to(page, "Skip to the content")
    await tab_to(page, "Impact")
    await page.keyboard.press("Enter")
    await shown(page, "#/impact/loyalty")

    await tab_to(page, "Skip to the content")
    await tab_to(page, "Cycles")
    await page.keyboard.press("Enter")
    await shown(page, "#/cycles")
    await page.get_by_role("link", name="Alert ").first.wait_for()
    await tab_to(page, "Alert ")
    await page.keyboard.press("Enter")
    await shown(page)

    await tab_to(page, "Your name")
    await page.keyboard.type("ann")
    await page.keyboard.press("Enter")
    await page.locator("main").get_by_text("acknowledged").first.wait_for()
    # The form that had the focus is gone; Tab goes on from there.
    await page.wait_for_function("() => document.activeElement.ariaLabel === 'What to do'")
    listed = await stubs.alerts.ListAlerts(ListAlertsRequest(status=ALERT_STATUS_ACKNOWLEDGED))
    assert [alert.acknowledged_by for alert in listed.alerts] == ["ann"]


async def test_keys_of_the_page_leave_fields_alone(page: "Page") -> None:
    await page.keyboard.press("/")
    await page.keyboard.type("a/b?")
    assert await page.evaluate("document.activeElement.value") == "a/b?"
    assert await page.get_by_role("dialog").count() == 0


async def test_the_help_opens_and_closes_by_keyboard_and_gives_the_focus_back(
    page: "Page", console: Console
) -> None:
    await console.view(page, "#/status")
    await tab_to(page, "Help")
    await page.keyboard.press("?")
    await page.get_by_role("dialog", name="Help").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")
    assert await page.evaluate(FOCUSED) == "Help"
