"""Keyset paging: a page starts after the last row of the one before, so writes in between neither repeat nor skip rows."""

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
