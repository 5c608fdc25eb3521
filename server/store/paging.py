"""How a repository cuts a page: one row more than asked for tells whether another page follows."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from server.domain.paging import Page, PageKey

Row = TypeVar("Row")


def cut_page(rows: Sequence[Row], size: int, key: Callable[[Row], PageKey]) -> Page[Row]:
    """Keep the first ``size`` of up to ``size + 1`` rows; the key of the last one kept when a row was left over."""
    kept = tuple(rows[:size])
    return Page(kept, next=key(kept[-1]) if kept and len(rows) > size else None)
