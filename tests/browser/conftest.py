"""
The console in a real browser: one server for all tests of a module, one Chromium for all modules.

A module chooses what the server holds by ``world``. Tests that write rows write such as no other
test of the module looks at.
"""

import json
from collections.abc import AsyncIterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
import pytest_asyncio

from server.config import Settings
from tests.support.browser import Console, OpenPage, Troubles, chromium, new_page, required_chromium
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.support.postgres import DatabaseServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests on one event loop, that of the browser; skip them where there is none."""
    lacks = _reason_to_skip()
    for item in items:
        if item.path.is_relative_to(HERE):
            if isinstance(item, pytest.Function) and iscoroutinefunction(item.function):
                # Before the mark that pytest-asyncio itself has set.
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if lacks:
                item.add_marker(pytest.mark.skip(lacks))


def _reason_to_skip() -> str:
    """Give the reason; what must not lack fails by the fixture ``browser``."""
    try:
        required_chromium()
    except pytest.skip.Exception as lacking:
        return str(lacking)
    except pytest.fail.Exception:
        pass
    return ""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> "AsyncIterator[Browser]":
    """A running Chromium; tests are skipped where there is none."""
    async with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    """What the module's server holds, as a file for ``depgraph import json``: the sample."""
    sample: list[dict[str, Any]] = json.loads((ROOT / "examples/online_shop.json").read_text())
    return sample


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database_url(browser: "Browser", request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of the module's database; none is made where there is no browser."""
    postgres: DatabaseServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("migrated_template")
    async with postgres.new_database(template) as url:
        yield url


@pytest.fixture(scope="module")
def server_settings(
    database_url: str, world: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings of the module's server; a module that needs others overrides this fixture."""
    seed_file = tmp_path_factory.mktemp("world") / "world.json"
    seed_file.write_text(json.dumps(world))
    return Settings(
        listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url, seed_file=seed_file
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def console(server_settings: Settings) -> AsyncIterator[Console]:
    """The module's server, whose graph holds the whole world."""
    async with Console(server_settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def connection(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection to the module's database, for changes by SQL."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def channel(console: Console) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the module's server."""
    async with open_channel(console.application.address) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Stubs of gRPC, to compare what the page shows with."""
    return Stubs(channel)


@pytest.fixture
def troubles() -> Troubles:
    """What went wrong in the test's pages; a test that provokes something allows it here."""
    return Troubles()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: "Browser", console: Console, troubles: Troubles) -> AsyncIterator[OpenPage]:
    """
    Open pages of the console; options are those of ``Browser.new_context``.

    The test fails when one of them has an error in its console, throws, violates the policy for
    content, or asks another host.
    """
    pages: list[Page] = []

    async def open_one(address: str = "#/", **options: Any) -> "Page":
        pages.append(await new_page(browser, console.url, troubles, **options))
        await console.view(pages[-1], address)
        return pages[-1]

    yield open_one
    for page in pages:
        await page.context.close()
    assert troubles.found == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> "Page":
    """A page that shows the start."""
    return await open_page()
