"""Pages of tests notice what a page must never do."""

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Console, Troubles, new_page, view

if TYPE_CHECKING:
    from playwright.async_api import Browser

ERROR = "() => { console.error('noticed'); }"
THROW = (
    "() => new Promise((done) => { setTimeout(done); setTimeout(() => { throw new Error('noticed'); }); })"
)
OTHER_HOST = "() => fetch('http://noticed.invalid/').catch(() => {})"


@pytest.mark.parametrize("provoked", [ERROR, THROW, OTHER_HOST], ids=["error", "exception", "other host"])
async def test_what_a_page_must_not_do_is_noticed(
    browser: "Browser", console: Console, provoked: str
) -> None:
    troubles = Troubles()
    page = await new_page(browser, console.url, troubles)
    try:
        await view(page, "#/status")
        assert troubles.found == []
        await page.evaluate(provoked)
        await page.wait_for_function("() => true")
    finally:
        await page.context.close()
    assert any("noticed" in each for each in troubles.found)
    troubles.allow("noticed", "Failed to load resource")
    assert troubles.found == []
