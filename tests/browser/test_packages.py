"""As many services as Debian has packages, one of them called by 21,808: with ``--full``."""

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from depgraph.v1.graph_service_pb2 import GetStatusRequest
from server.config import Settings
from tests.support.browser import Console, OpenPage
from tests.support.calls import Stubs
from tests.support.console_worlds import CALLERS, PACKAGE_CALLS, PACKAGE_HUB, PACKAGES, write_packages

if TYPE_CHECKING:
    from playwright.async_api import Page

MOST_NODES = 300
VIEWS = {
    "start": "#/",
    "focus": f"#/focus/{PACKAGE_HUB}",
    "focus, four hops": f"#/focus/{PACKAGE_HUB}?hops=4",
    "impact": f"#/impact/{PACKAGE_HUB}",
    "cycles": "#/cycles",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "inside a group": "#/map/payments",
    "status": "#/status",
}


@pytest.fixture(scope="module", autouse=True)
def is_full(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("with --full: writing the graph takes half a minute")


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    """Written by SQL instead."""
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server_settings(is_full: None, database_url: str) -> Settings:
    connection = await asyncpg.connect(database_url)
    try:
        await write_packages(connection)
    finally:
        await connection.close()
    return Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)


async def nodes(page: "Page") -> int:
    return await page.locator("main svg.picture .node").count()


async def test_the_graph_is_as_large_as_it_says(stubs: Stubs) -> None:
    status = await stubs.graph.GetStatus(GetStatusRequest())
    assert (status.service_count, status.dependency_count) == (PACKAGES, PACKAGE_CALLS)


@pytest.mark.parametrize("address", VIEWS.values(), ids=VIEWS.keys())
async def test_every_view_stays_within_bounds(open_page: OpenPage, console: Console, address: str) -> None:
    page = await open_page(address)
    await console.settled(page)
    assert await nodes(page) <= MOST_NODES


async def test_the_hub_says_how_many_call_it_and_shows_some(open_page: OpenPage, console: Console) -> None:
    page = await open_page(f"#/focus/{PACKAGE_HUB}?hops=1")
    assert f"{CALLERS:,} callers" in await page.locator("main").inner_text()
    assert 1 < await nodes(page) <= MOST_NODES


async def test_a_search_among_all_finds_the_one_that_is_meant(open_page: OpenPage, console: Console) -> None:
    page = await open_page("#/status")
    await page.keyboard.press("/")
    await page.keyboard.type(PACKAGE_HUB)
    option = page.get_by_role("search").get_by_role("option").first
    await option.wait_for()
    assert PACKAGE_HUB in await option.inner_text()
    await page.keyboard.press("Enter")
    await page.wait_for_function("(name) => document.title.includes(name)", arg=PACKAGE_HUB)
