"""The table of the console's views, with rows of its own."""

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.browser import PHONE, Console, OpenPage

if TYPE_CHECKING:
    from playwright.async_api import Page

# Puts a table in the place of the view: rows n (a number) and name, with a link; and a note.
TABLE = """
async (count) => {
  const { table } = await import("/parts/table.js");
  const { h } = await import("/lib/dom.js");
  const rows = Array.from({ length: count }, (_, n) => ({
    n: (n * 7919) % count, name: `name ${(n * 7919) % count}`, note: "<b>bold</b>",
  }));
  const link = ({ name }) => h("a", { href: `#/${name}` }, name);
  const columns = [
    { key: "n", title: "Number", align: "right" },
    { key: "name", title: "Name", render: link, sort: (row) => row.name },
    { key: "note", title: "Note", render: (row) => row.note },
  ];
  window.made = table({ caption: "Numbers", columns, rows, empty: "No numbers." });
  document.getElementById("main").replaceChildren(h("h1", {}, "Table"), window.made);
}
"""
NUMBERS = (
    "() => [...document.querySelectorAll('main tbody tr td:first-child')].map((each) => each.textContent)"
)


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> "Page":
    return await open_page("#/status")


async def numbers(page: "Page") -> list[int]:
    return [int(each.replace(",", "")) for each in await page.evaluate(NUMBERS)]


async def test_rows_stand_in_the_given_order_until_a_heading_is_pressed(page: "Page") -> None:
    await page.evaluate(TABLE, 150)
    given = [(n * 7919) % 150 for n in range(150)]
    assert await numbers(page) == given
    heading = page.get_by_role("columnheader", name="Number")
    assert await heading.get_attribute("aria-sort") is None
    await heading.get_by_role("button").click()
    assert await numbers(page) == sorted(given)
    assert await heading.get_attribute("aria-sort") == "ascending"
    await heading.get_by_role("button").press("Enter")
    assert await numbers(page) == sorted(given, reverse=True)
    assert await heading.get_attribute("aria-sort") == "descending"
    # Numbers within names count as numbers.
    await page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    assert await numbers(page) == sorted(given)
    assert await heading.get_attribute("aria-sort") is None
    assert await page.get_by_role("columnheader", name="Note").get_by_role("button").count() == 0


async def test_two_hundred_rows_are_shown_at_first_and_the_focus_goes_on_to_the_next(page: "Page") -> None:
    await page.evaluate(TABLE, 450)
    assert len(await numbers(page)) == 200
    assert await page.get_by_text("200 of 450 rows.").is_visible()
    await page.get_by_role("button", name="Show 200 more").click()
    assert len(await numbers(page)) == 400
    place = "() => [...document.querySelectorAll('main tbody tr')].indexOf(document.activeElement)"
    assert await page.evaluate(place) == 200
    await page.get_by_role("button", name="Show 50 more").click()
    assert len(await numbers(page)) == 450
    assert await page.get_by_role("button", name="more").count() == 0


async def test_other_rows_keep_the_order_and_the_focus(page: "Page") -> None:
    await page.evaluate(TABLE, 20)
    await page.get_by_role("columnheader", name="Number").get_by_role("button").click()
    await page.get_by_role("link", name="name 7", exact=True).focus()
    await page.evaluate("() => made.update([9, 3, 7, 1].map((n) => ({ n, name: `name ${n}`, note: '' })))")
    assert await numbers(page) == [1, 3, 7, 9]
    assert await page.evaluate("document.activeElement.textContent") == "name 7"
    await page.evaluate("() => made.update([])")
    assert await page.get_by_text("No numbers.").is_visible()
    assert not await page.get_by_role("table").is_visible()


async def test_markup_in_a_cell_is_text(page: "Page") -> None:
    await page.evaluate(TABLE, 1)
    assert await page.get_by_role("cell", name="<b>bold</b>").is_visible()
    assert await page.locator("main b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_rows_as_labelled_lines_that_fit(open_page: OpenPage, scheme: str) -> None:
    page = await open_page("#/status", viewport=PHONE, color_scheme=scheme)
    await page.evaluate(TABLE, 3)
    cell = page.get_by_role("cell").first
    assert await cell.evaluate("(each) => getComputedStyle(each, '::before').content") == '"Number"'
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # It is a table to those who can't see it.
    assert await page.get_by_role("row").count() == 4
    assert await page.get_by_role("columnheader", name="Name").get_by_role("button").is_visible()
    assert await Console.violations(page) == []
