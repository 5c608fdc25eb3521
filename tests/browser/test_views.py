"""Every view on the sample: usable in light, in dark and on a phone, by axe without a finding."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import PHONE, Console, OpenPage

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

VIEWS = {
    "start": "#/",
    "focus": "#/focus/checkout?hops=2",
    "selected": "#/focus/checkout?selected=payments",
    "impact": "#/impact/accounts",
    "impact, none": "#/impact",
    "paths": "#/paths/storefront?to=accounts",
    "paths, none": "#/paths",
    "cycles": "#/cycles",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "inside a group": "#/map/fulfilment",
    "map by tier": "#/map?by=tier",
    "status": "#/status",
}
Shown = Callable[[str], Awaitable["Page"]]
each_view = pytest.mark.parametrize("address", VIEWS.values(), ids=VIEWS.keys())


@each_view
async def test_axe_finds_nothing_in_light_dark_and_on_a_phone(
    open_page: OpenPage, console: Console, address: str
) -> None:
    page = await open_page(address)
    await console.settled(page)
    assert await console.violations(page) == []
    await page.emulate_media(color_scheme="dark")
    assert await console.violations(page) == []
    await page.set_viewport_size(PHONE)
    assert await console.violations(page) == []


@each_view
async def test_a_phone_scrolls_down_only(open_page: OpenPage, console: Console, address: str) -> None:
    page = await open_page(address, viewport=PHONE, is_mobile=True, has_touch=True)
    await console.settled(page)
    wide = await page.evaluate("document.scrollingElement.scrollWidth")
    assert wide <= PHONE["width"]
    # Pictures and rows of tabs scroll by themselves; controls that are cut off do not.
    cut = await page.evaluate(
        """(wide) => [...document.querySelectorAll("main :is(button, input, select, a)")]
        .filter((each) => each.checkVisibility() && !each.closest(".graph, table, [class*=scroll]"))
        .filter((each) => each.getBoundingClientRect().right > wide + 1)
        .map((each) => each.outerHTML.slice(0, 150))""",
        PHONE["width"],
    )
    assert cut == []


@each_view
async def test_nothing_moves_where_people_asked_for_less_motion(
    open_page: OpenPage, console: Console, address: str
) -> None:
    page = await open_page(address, reduced_motion="reduce")
    await console.settled(page)
    moving = await page.evaluate("""() => [...document.querySelectorAll("*")].filter((each) => {
        const { transitionDuration, animationDuration, scrollBehavior } = getComputedStyle(each);
        const longest = (text) => Math.max(...text.split(",").map(parseFloat));
        return longest(transitionDuration) > 0.01 || longest(animationDuration) > 0.01
            || scrollBehavior === "smooth";
    }).map((each) => each.outerHTML.slice(0, 150))""")
    assert moving == []


async def test_views_that_are_left_before_they_are_drawn_leave_no_trace(
    open_page: OpenPage, console: Console
) -> None:
    page = await open_page("#/status")

    async def late(route: "Route") -> None:
        await page.wait_for_timeout(50)
        await route.continue_()

    await page.route("**/depgraph.v1.*/*", late)
    for address in [*VIEWS.values(), *VIEWS.values()]:
        await page.evaluate("(address) => { location.hash = address; }", address)
        await page.evaluate("() => new Promise(requestAnimationFrame)")
    await console.view(page, "#/focus/orders")
    await console.settled(page)
    assert await page.get_by_role("heading", level=1).all_inner_texts() == ["orders"]
