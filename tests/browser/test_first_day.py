"""The console of an empty graph."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser import Troubles, shown, violations

if TYPE_CHECKING:
    import asyncpg
    from playwright.async_api import Page


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    """Nothing."""
    return []


async def test_an_empty_graph_says_how_to_fill_it_and_shows_the_first_service_at_once(
    page: "Page", connection: "asyncpg.Connection[asyncpg.Record]", troubles: Troubles
) -> None:
    # The server says that there is nothing to begin with.
    troubles.allow("404 (Not Found)")
    await page.get_by_role("heading", name="The graph is empty").wait_for()
    assert "depgraph import FILE" in await page.locator("main").inner_text()
    assert await violations(page) == []
    await connection.execute("INSERT INTO services (service_id) VALUES ('first')")
    await page.get_by_role("heading", name="first", level=1).wait_for()
    await shown(page, "#/focus/first")
