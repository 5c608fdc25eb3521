"""Names of services that look like markup, addresses or code stay text, and lead where they say."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.browser import PHONE, Console, OpenPage, Troubles
from tests.support.console_worlds import NASTY_CENTER, NASTY_NAMES, nasty_names

if TYPE_CHECKING:
    from playwright.async_api import Page

HERE = quote(NASTY_CENTER, safe="")
LAST = quote(NASTY_NAMES[-1], safe="")
VIEWS = {
    "start": "#/",
    "focus": f"#/focus/{HERE}?hops=2",
    "impact": f"#/impact/{HERE}",
    "paths": f"#/paths/{HERE}?to={LAST}",
    "cycles": "#/cycles",
    "drift": "#/drift",
    "sources": "#/sources",
    "map": "#/map",
    "inside a group": f"#/map/{quote(NASTY_NAMES[0], safe='')}",
    "map by namespace": "#/map?by=namespace",
    "status": "#/status",
}
# What the names would make if they were markup; files of the console have no such elements.
MARKUP = "script:not([src]), b:text-is('bold'), b:text-is('center'), img[src=x], [onerror]"
READ_LINKS = """async () => {
  const { parse } = await import("/lib/route.js");
  return [...document.querySelectorAll("main a[href^='#/']")].map((link) => parse(link.getAttribute("href")));
}"""
OF_ONE_SERVICE = ("focus", "impact", "paths")


@pytest.fixture(scope="module")
def world() -> list[dict[str, Any]]:
    return nasty_names()


async def open_watched(open_page: OpenPage, troubles: Troubles, **options: Any) -> "Page":
    page = await open_page("#/status", **options)
    page.on("dialog", lambda dialog: troubles.note(f"the page asked: {dialog.message}"))
    return page


@pytest.mark.parametrize("address", VIEWS.values(), ids=VIEWS.keys())
async def test_names_stay_text_on_every_view_and_links_lead_to_services_there_are(
    open_page: OpenPage, console: Console, troubles: Troubles, address: str
) -> None:
    page = await open_watched(open_page, troubles)
    await console.view(page, address)
    await console.settled(page)
    assert await page.locator(MARKUP).count() == 0
    led = [
        link for link in await page.evaluate(READ_LINKS) if link["view"] in OF_ONE_SERVICE and link["name"]
    ]
    assert {link["name"] for link in led} <= {NASTY_CENTER, *NASTY_NAMES}
    assert await console.violations(page) == []


async def test_every_name_is_shown_as_it_is_and_its_address_leads_to_it(
    open_page: OpenPage, console: Console, troubles: Troubles
) -> None:
    page = await open_watched(open_page, troubles)
    shown = {}
    for name in NASTY_NAMES:
        written = await page.evaluate(
            "async (name) => (await import('/lib/route.js')).format('focus', name, { hops: 1 })", name
        )
        await console.view(page, written)
        await console.settled(page)
        shown[name] = await page.locator("main h1").text_content()
        assert " ".join(name.split()) in await page.title(), name
    assert shown == {name: name for name in NASTY_NAMES}


@pytest.mark.parametrize("name", [NASTY_NAMES[0], "a?b=c&d=e", "%2F%41%", "..", "W" * 255])
async def test_a_search_finds_such_a_name(open_page: OpenPage, console: Console, name: str) -> None:
    page = await open_page("#/status")
    await page.keyboard.press("/")
    await page.keyboard.insert_text(name)
    option = page.get_by_role("search").get_by_role("option").first
    await option.wait_for()
    await page.keyboard.press("Enter")
    await page.wait_for_function("(name) => document.title.includes(name)", arg=name)
    await console.settled(page)
    assert await page.locator("main h1").text_content() == name


async def test_the_longest_names_widen_no_view(open_page: OpenPage, console: Console) -> None:
    page = await open_page("#/status", viewport=PHONE)
    for address in VIEWS.values():
        await console.view(page, address)
        await console.settled(page)
        wide = await page.evaluate("document.scrollingElement.scrollWidth")
        assert wide <= PHONE["width"], address
