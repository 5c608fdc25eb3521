"""The console by keyboard alone: what has the focus is seen, and nothing holds it."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import Console, OpenPage

if TYPE_CHECKING:
    from playwright.async_api import Page

VIEWS = ["#/focus/checkout", "#/impact/accounts", "#/paths/storefront?to=accounts", "#/cycles", "#/drift"]
VIEWS += ["#/sources", "#/map", "#/status", "#/changes/checkout"]
FOCUSED = """() => {
  const each = document.activeElement;
  if (each === null || each === document.body) return null;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
  const box = each.getBoundingClientRect();
  window.visited ??= [];
  if (!window.visited.includes(each)) window.visited.push(each);
  return {
    number: window.visited.indexOf(each),
    text: each.outerHTML.slice(0, 160),
    isMarked: (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none",
    isNode: each.classList.contains("node"),
    isSeen: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""
MOST_STOPS = 150


async def stops(page: "Page") -> list[dict[str, Any]]:
    """Press Tab until it leaves the page or comes round."""
    found: list[dict[str, Any]] = []
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(FOCUSED)
        # A field for a time has several parts.
        if found and stop is not None and stop["number"] == found[-1]["number"]:
            continue
        if stop is None or any(stop["number"] == each["number"] for each in found):
            return found
        found.append(stop)
    raise AssertionError(f"more than {MOST_STOPS} stops, or a trap: {found[-3:]}")


@pytest.mark.parametrize("address", VIEWS)
async def test_tab_reaches_every_control_and_shows_where_it_is(
    open_page: OpenPage, console: Console, address: str
) -> None:
    page = await open_page(address)
    await console.settled(page)
    found = await stops(page)
    # A node of a picture draws its own mark.
    assert [each["text"] for each in found if not each["isMarked"] and not each["isNode"]] == []
    assert [each["text"] for each in found if not each["isSeen"]] == []
    controls = await page.evaluate("""() =>
      [...document.querySelectorAll("main :is(a[href], button, input, select, summary)")]
        .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0)
        .filter((each) => each.type !== "radio" || each.checked)
        .filter((each) => !window.visited.includes(each))
        .map((each) => each.outerHTML.slice(0, 160))""")
    assert controls == []


async def test_from_search_through_the_picture_to_another_service(
    open_page: OpenPage, console: Console
) -> None:
    page = await open_page("#/status")
    await page.keyboard.press("/")
    await page.keyboard.type("fraud")
    await page.get_by_role("search").get_by_role("option").first.wait_for()
    await page.keyboard.press("Enter")
    await console.shown(page, "#/focus/fraud-scoring")
    await console.settled(page)
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        if (await page.evaluate(FOCUSED) or {}).get("isNode"):
            break
    assert "fraud-scoring" in await page.evaluate("document.activeElement.getAttribute('aria-label')")
    # Callees are to the right.
    await page.keyboard.press("ArrowRight")
    assert "accounts" in await page.evaluate("document.activeElement.getAttribute('aria-label')")
    await page.keyboard.press("Enter")
    await page.wait_for_function("() => document.querySelector('main h1')?.innerText === 'accounts'")
