"""The console of a server with an auth file: who may look, who may write, and when that ends."""

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio

from depgraph.v1.access_service_pb2 import WhoAmIRequest
from depgraph.v1.alert_service_pb2 import ListAlertsRequest
from server.config import AccessSettings, Settings
from tests.support.browser import PATIENCE_SECONDS, Console, Troubles, new_page, shown, view, violations
from tests.support.calls import Stubs
from tests.support.issuer import bearer, static_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

READER, OPERATOR, INGESTER = "secret-of-ann", "secret-of-olga", "secret-of-ivan"
WRITES = re.compile("acknowledge|resolve", re.IGNORECASE)
PEOPLE = tuple(
    table.replace('name = "secret-of-', 'name = "')
    for table in (
        static_token(READER, "reader"),
        static_token(OPERATOR, "operator"),
        static_token(INGESTER, "ingester", sources=("manual",)),
    )
)


@pytest.fixture(scope="module")
def auth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An auth file that knows three people by their tokens."""
    path = tmp_path_factory.mktemp("auth") / "auth.toml"
    path.write_text("\n".join(PEOPLE))
    return path


@pytest.fixture(scope="module")
def server_settings(server_settings: Settings, auth_file: Path) -> Settings:
    """Settings of a server that wants to know who calls."""
    return replace(server_settings, access=AccessSettings(auth_file=auth_file))


@pytest_asyncio.fixture(loop_scope="session")
async def alert(stubs: Stubs) -> str:
    """The address of the alert that the server opens for the sample's cycle."""

    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await stubs.alerts.ListAlerts(ListAlertsRequest(), metadata=bearer(READER))
            if found.alerts:
                return f"#/cycles/{found.alerts[0].id}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def asked(browser: "Browser", console: Console, address: str = "#/cycles") -> "AsyncIterator[Page]":
    """Open a page that asks for a token; browsers note each call that is refused."""
    troubles = Troubles()
    troubles.allow("401", "403")
    page = await new_page(browser, console.url, troubles)
    await page.goto(f"/{address}")
    await page.get_by_role("dialog", name="Sign in").wait_for()
    yield page
    await page.context.close()
    assert troubles.found == []


async def sign_in(page: "Page", token: str) -> None:
    """Give a token to the dialog that asks for one."""
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").wait_for(state="detached")
    await shown(page)


async def test_a_stranger_sees_nothing_and_is_asked_for_a_token(browser: "Browser", console: Console) -> None:
    async with asked(browser, console) as page:
        assert await page.get_by_label("Token").get_attribute("type") == "password"
        assert "loyalty" not in await page.inner_text("body")
        assert await violations(page) == []


async def test_a_wrong_token_says_so_in_the_words_of_the_server(
    browser: "Browser", console: Console, channel: grpc.aio.Channel
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await Stubs(channel).access.WhoAmI(WhoAmIRequest(), metadata=bearer("wrong"))
    async with asked(browser, console) as page:
        await page.get_by_label("Token").fill("wrong")
        await page.get_by_role("button", name="Sign in").last.click()
        await page.get_by_role("dialog").get_by_text(refused.value.details() or "?").wait_for()
        await sign_in(page, READER)


async def test_a_reader_sees_who_they_are_and_no_button_that_writes(
    browser: "Browser", console: Console, alert: str
) -> None:
    async with asked(browser, console, alert) as page:
        await sign_in(page, READER)
        assert re.search(r"ann\s+reader", await page.get_by_role("banner").inner_text())
        await page.get_by_text("takes the role operator").wait_for()
        assert await page.get_by_role("button", name=WRITES).count() == 0


async def test_an_operator_sees_the_buttons_for_alerts(
    browser: "Browser", console: Console, alert: str
) -> None:
    async with asked(browser, console, alert) as page:
        await sign_in(page, OPERATOR)
        await page.get_by_role("button", name=WRITES).first.wait_for()


async def test_who_lacks_a_role_is_told_which(browser: "Browser", console: Console) -> None:
    async with asked(browser, console, "#/focus/checkout") as page:
        await sign_in(page, INGESTER)
        await page.get_by_role("heading", name="You may not see this").wait_for()
        text = await page.locator("main").inner_text()
        assert "Your roles: ingester." in text
        assert "This needs the role reader." in text


async def test_the_token_is_kept_nowhere_and_a_reload_forgets_it(
    browser: "Browser", console: Console
) -> None:
    async with asked(browser, console) as page:
        await sign_in(page, READER)
        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state,"
            " location.href, document.documentElement.outerHTML])"
        )
        assert "ann" in kept
        assert READER not in kept
        assert await page.context.cookies() == []
        await page.reload()
        await page.get_by_role("dialog", name="Sign in").wait_for()


async def test_signing_out_forgets_and_asks_again(browser: "Browser", console: Console) -> None:
    async with asked(browser, console) as page:
        await sign_in(page, READER)
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("dialog", name="Sign in").wait_for()
        assert "loyalty" not in await page.inner_text("body")
        await page.keyboard.press("Escape")
        await page.locator("main").get_by_role("button", name="Sign in").click()
        await sign_in(page, OPERATOR)
        assert "olga" in await page.get_by_role("banner").inner_text()


async def test_a_session_that_ends_in_the_middle_asks_again_and_keeps_the_address(
    browser: "Browser", console: Console, auth_file: Path
) -> None:
    async with asked(browser, console) as page:
        await sign_in(page, READER)
        await view(page, "#/focus/payments?hops=2")
        await page.get_by_text("live", exact=True).wait_for()
        await asyncio.to_thread(auth_file.write_text, "\n".join(PEOPLE[1:]))
        await page.get_by_role("dialog", name="Sign in").wait_for()
        await asyncio.to_thread(auth_file.write_text, "\n".join(PEOPLE))
        await sign_in(page, OPERATOR)
        assert page.url.endswith("#/focus/payments?hops=2")
        assert await page.get_by_role("heading", level=1).inner_text() == "payments"
        await page.get_by_text("live", exact=True).wait_for()
