"""What the console does while the graph moves, and while the server is away."""

import asyncio
from typing import TYPE_CHECKING

from tests.support.browser import Console, OpenPage, Troubles, shown
from tests.support.eventually import eventually

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Locator, Page

ADD_CALLER = """
WITH caller AS (INSERT INTO services (service_id) VALUES ($1) RETURNING id)
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT caller.id, services.id, 'sync' FROM caller, services WHERE services.service_id = $2
"""
TABS = 8
# A browser without a window hides no tab.
SIGHT = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
CHANGES = """async () => {
  const { live } = await import("/lib/live.js");
  for (let count = 0; count < 25; count++) live.dispatchEvent(new Event("changes"));
}"""
CALL = "async () => (await (await import('/lib/api.js')).call('GraphService/GetStatus')).serviceCount"


def state(page: "Page") -> "Locator":
    return page.get_by_role("contentinfo").locator(".state")


async def wait_for_state(page: "Page", text: str) -> None:
    await state(page).get_by_text(text).wait_for()


def callers(page: "Page", name: str) -> "Locator":
    return page.locator(f'main svg [aria-label^="{name},"]').first


async def test_a_change_by_sql_is_seen_without_a_reload(
    page: "Page", console: Console, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await console.view(page, "#/focus/payments")
    await wait_for_state(page, "live")
    revision = page.get_by_role("contentinfo").locator(".revision")
    before = await revision.get_attribute("title")
    await page.evaluate("window.isSamePage = true")
    await connection.execute(ADD_CALLER, "newcomer", "payments")
    await callers(page, "newcomer").wait_for()
    assert await page.evaluate("window.isSamePage")
    await page.get_by_role("contentinfo").get_by_text("16 services · 33 dependencies").wait_for()
    assert await revision.get_attribute("title") != before


async def test_a_server_that_was_stopped_and_started_comes_back_without_a_reload(
    open_page: OpenPage,
    console: Console,
    troubles: Troubles,
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    troubles.allow("ERR_CONNECTION_REFUSED", "Failed to load resource")
    page = await open_page("#/focus/payments")
    await wait_for_state(page, "live")
    await page.evaluate("window.isSamePage = true")
    await console.stop()
    try:
        await page.get_by_role("alert").get_by_text("The server does not answer.").wait_for()
        await wait_for_state(page, "the server does not answer, last answer")
        # The view still shows what was known.
        assert await page.get_by_role("heading", level=1).inner_text() == "payments"
        await connection.execute(ADD_CALLER, "written-meanwhile", "payments")
        # A view that was not there before says so, and comes back as well.
        await console.view(page, "#/focus/checkout")
        await page.get_by_role("heading", name="The server does not answer").wait_for()
    finally:
        await console.start()
    await page.get_by_role("heading", name="checkout", level=1).wait_for()
    await wait_for_state(page, "live")
    assert not await page.get_by_role("alert").get_by_text("The server does not answer.").is_visible()
    await console.view(page, "#/focus/payments")
    await callers(page, "written-meanwhile").wait_for()
    assert await page.evaluate("window.isSamePage")


async def test_what_changed_while_the_stream_was_away_is_seen_when_it_is_back(
    open_page: OpenPage,
    console: Console,
    troubles: Troubles,
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    troubles.allow("ERR_CONNECTION_REFUSED", "Failed to load resource")
    page = await open_page("#/focus/payments")
    await wait_for_state(page, "live")
    await console.stop()
    try:
        await wait_for_state(page, "last answer")
        await connection.execute(ADD_CALLER, "unseen", "payments")
    finally:
        await console.start()
    await callers(page, "unseen").wait_for()


async def test_a_tab_out_of_sight_holds_no_watch_and_catches_up_when_it_is_back(
    open_page: OpenPage, console: Console, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    page = await open_page("#/focus/payments")
    await wait_for_state(page, "live")
    await page.evaluate(SIGHT, True)
    await eventually(lambda: console.application.running_calls == 0)
    await connection.execute(ADD_CALLER, "out-of-sight", "payments")
    await page.evaluate(SIGHT, False)
    await callers(page, "out-of-sight").wait_for()


async def test_eight_tabs_share_one_watch_and_all_of_them_can_call(
    page: "Page", console: Console, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    tabs = [page, *(await asyncio.gather(*(page.context.new_page() for _ in range(TABS - 1))))]
    for tab in tabs:
        await tab.goto("/#/focus/payments")
    for tab in tabs:
        await shown(tab)
        await wait_for_state(tab, "live")
    counts = await asyncio.gather(*(tab.evaluate(CALL) for tab in tabs))
    assert len(set(counts)) == 1
    # A Watch each would hold all six connections that the browser has for a host.
    await eventually(lambda: console.application.running_calls == 1)
    await connection.execute(ADD_CALLER, "seen-by-all", "payments")
    for tab in tabs:
        await callers(tab, "seen-by-all").wait_for()
    # The one that the others may lean on goes.
    await page.close()
    await connection.execute(ADD_CALLER, "seen-by-the-rest", "payments")
    for tab in tabs[1:]:
        await callers(tab, "seen-by-the-rest").wait_for()


async def test_many_changes_at_once_are_one_question_for_the_frame(open_page: OpenPage) -> None:
    page = await open_page("#/map")
    await wait_for_state(page, "live")
    await page.locator("#top .badge:not([hidden])").wait_for()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    async with page.expect_response("**/depgraph.v1.AlertService/ListAlerts"):
        await page.evaluate(CHANGES)
    async with page.expect_response("**/depgraph.v1.AlertService/ListAlerts"):
        await page.evaluate(CHANGES)
    # Twenty-five changes each time; a look that was due anyway may come in between.
    assert asked.count("ListAlerts") <= 3
