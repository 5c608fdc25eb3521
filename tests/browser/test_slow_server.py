"""Answers that come late: the page says so, and a later choice wins over an earlier slow one."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.support.browser import Console, OpenPage

if TYPE_CHECKING:
    from playwright.async_api import Page, Route

PICTURES = "**/depgraph.v1.GraphService/GetNeighbourhood"
IS_SAID = """() => {
  const { content, visibility } = getComputedStyle(document.querySelector("main > .view"), "::before");
  return content.includes("Loading") && visibility === "visible";
}"""


class Gate:
    """Holds the questions for the pictures of a service until it is opened."""

    def __init__(self, service_id: str) -> None:
        self._wanted = f'"serviceId":"{service_id}"'
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, route: "Route") -> None:
        if self._wanted in (route.request.post_data or "").replace(": ", ":"):
            self.reached.set()
            await self.opened.wait()
        await route.continue_()


async def click_link(page: "Page", address: str) -> None:
    """Follow a link to an address, as a click on a node or in the search does."""
    await page.evaluate("(to) => { location.hash = to; }", address)


async def heading(page: "Page") -> str:
    return await page.locator("main h1").inner_text()


async def test_a_view_says_that_it_is_being_drawn(open_page: OpenPage) -> None:
    page = await open_page("#/status")
    gate = Gate("orders")
    await page.route(PICTURES, gate)
    await click_link(page, "#/focus/orders")
    await gate.reached.wait()
    await page.locator("main[aria-busy=true]").wait_for()
    # By words, not only by an attribute.
    await page.wait_for_function(IS_SAID)
    gate.opened.set()
    await page.locator("main[aria-busy=false]").wait_for()
    assert await heading(page) == "orders"


async def test_a_later_choice_wins_over_an_earlier_slow_answer(open_page: OpenPage, console: Console) -> None:
    page = await open_page("#/focus/checkout")
    gate = Gate("orders")
    await page.route(PICTURES, gate)
    await click_link(page, "#/focus/orders")
    await gate.reached.wait()
    await click_link(page, "#/focus/payments")
    await console.shown(page, "#/focus/payments")
    gate.opened.set()
    # Whatever the earlier answer could still do, it does before this one is drawn.
    await console.view(page, "#/focus/payments?hops=2")
    await console.settled(page)
    assert await heading(page) == "payments"
    assert await page.locator("main h1").count() == 1
    assert await page.locator("main svg.picture").count() == 1


async def test_back_and_forward_show_what_was_shown(open_page: OpenPage, console: Console) -> None:
    page = await open_page("#/focus/checkout?hops=1")
    visited = ["#/focus/orders?hops=2", "#/impact/accounts", "#/map", "#/focus/checkout?hops=1"]
    headings = {}
    for address in visited:
        await console.view(page, address)
        headings[address] = await heading(page)
    for address in (*visited[-2::-1], *visited[1:]):
        is_back = address in visited[:-1] and unquote(page.url).endswith(visited[visited.index(address) + 1])
        await (page.go_back() if is_back else page.go_forward())
        await console.shown(page, address)
        assert await heading(page) == headings[address]
