"""
Keyset paging: a page starts after the last row of the one before.

So writes in between neither repeat nor skip rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

Row = TypeVar("Row")


class PageKey(NamedTuple):
    """Where a newest-first list stands: the creation time (UTC) and id of the last row shown."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the next page starts (None = no more)."""

    rows: tuple[Row, ...]
    next: PageKey | None


def cut_page(rows: Sequence[Row], size: int, key: Callable[[Row], PageKey]) -> Page[Row]:
    """Make a page of up to ``size + 1`` rows: one beyond ``size`` means that a page follows."""
    kept = tuple(rows[:size])
    return Page(kept, next=key(kept[-1]) if kept and len(rows) > size else None)
