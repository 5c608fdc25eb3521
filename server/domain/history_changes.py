"""What changed between two states of the tables: values, and the port to read them by."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from server.domain.changes import FeedPosition
from server.domain.dependencies import DependencyRow
from server.domain.history import Mark
from server.domain.services import Service, ServiceAlias, ServiceKind

Row = TypeVar("Row", Service, DependencyRow, ServiceAlias)

MOST_ROWS = 200_000
"""Changed rows of a table that one comparison takes at most: some 300 MB."""
MOST_FORMER_ENDS = 200_000
"""Pairs of services, no longer calling one another, that distances take into account at most."""


@dataclass(frozen=True, slots=True)
class Window:
    """
    Changes after ``since`` that ``until`` has; ``present`` is what memory holds.

    ``until`` may be the present, too: see ``present_mark``.
    """

    since: Mark
    until: Mark
    present: FeedPosition


def present_mark(position: FeedPosition, now: datetime) -> Mark:
    """Make a mark of what memory holds; it has no lineage."""
    return Mark(now, 0, position.snapshot, position.feed_id, None, is_exact=True)


class States(NamedTuple, Generic[Row]):
    """A row in two states; None = there is none. Times of observation and update are None."""

    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Netted:
    """Rows that may differ between two states; rows that differ are all among them."""

    services: list[States[Service]]
    dependencies: list[States[DependencyRow]]
    aliases: list[States[ServiceAlias]]


class ChangePlace(NamedTuple):
    """Where a change stands in a list: nearest first, then newest."""

    hops: int
    seq: int


@dataclass(frozen=True, slots=True)
class RowChange(Generic[Row]):
    """
    One change of one row. ``at`` is aware, in UTC; ``principal`` None = not known.

    ``revision`` is the token of the transaction, empty if it was one of another run of the
    database. ``names`` are those of the services of the row at that moment.
    """

    place: ChangePlace
    at: datetime
    principal: str | None
    revision: str
    states: States[Row]
    names: Mapping[UUID, str]


AnyChange = RowChange[Service] | RowChange[DependencyRow] | RowChange[ServiceAlias]


@dataclass(frozen=True, slots=True)
class FormerEnds:
    """
    How the dependencies in memory differ from those that distances go by.

    ``pairs`` of services were connected after a state and no longer are; ``later`` dependencies
    changed after the present that a list began with.
    """

    pairs: Sequence[tuple[UUID, UUID]]
    later: Collection[UUID]


class HistoryStore(Protocol):
    """
    What the history tells of changes.

    Each method raises ``HistoryUnavailableError`` if the history has come to an end since the marks
    were found, and ``ReplicaBehindError`` if the database that answers is behind ``present``.
    """

    async def netted(self, window: Window, kinds: Collection[ServiceKind]) -> Netted:
        """
        Return what may differ between the two states of a window. O(changes since the earlier).

        The dependencies of services that became, or no longer are, of one of the ``kinds`` are
        among them. Raises ``ResponseTooLargeError`` beyond ``MOST_ROWS`` of a table.
        """

    async def reported(self, window: Window) -> dict[UUID, float]:
        """
        Return the confidences reported of dependencies that memory may have another one of.

        Those are the ones that have decayed. The present is ``Window.present``.
        """

    async def newest(self, window: Window, size: int, before: ChangePlace | None) -> list[AnyChange]:
        """Return at most ``size`` changes, newest first. O(changes since the earlier state)."""

    async def nearest(
        self, window: Window, distances: Mapping[UUID, int], size: int, after: ChangePlace | None
    ) -> list[AnyChange]:
        """Return at most ``size`` changes of these services, nearest first. As ``newest``."""

    async def last_named(self, window: Window, name: str) -> UUID | None:
        """Find the service that had a name last, of those that changed after the earlier state."""

    async def former_ends(self, window: Window, present: str) -> FormerEnds:
        """
        Return what distances need; ``present`` is the snapshot that the list began with.

        Raises ``InvalidInputError`` beyond ``MOST_FORMER_ENDS``.
        """
