"""Walking through a list page by page."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from server.domain.ports import Page, PageKey

Row = TypeVar("Row")


async def every_row(page_after: Callable[[PageKey | None], Awaitable[Page[Row]]], size: int) -> list[Row]:
    """Collect the rows of all pages, none of which may hold more than ``size``."""
    page = await page_after(None)
    rows = list(page.rows)
    while page.next is not None:
        page = await page_after(page.next)
        assert 0 < len(page.rows) <= size
        rows += page.rows
    return rows
