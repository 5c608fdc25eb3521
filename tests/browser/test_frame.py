"""What every page of the console has, whatever it shows."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page


async def test_the_start_shows_a_title_and_a_menu_of_views(page: "Page") -> None:
    assert "depgraph" in await page.title()
    assert await page.get_by_role("navigation").first.get_by_role("link").count() >= 8
