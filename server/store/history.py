"""Former states of the tables, out of the undo log and the marks of migration 0014."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from server.domain.changes import FeedPosition, ReportedConfidences, RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.errors import (
    DatabaseUnavailableError,
    HistoryUnavailableError,
    ReplicaBehindError,
    RevisionUnknownError,
    WriteConflictError,
)
from server.domain.history import FormerRows, Mark, Point
from server.domain.revision import Revision, Snapshot
from server.domain.services import Service, ServiceAlias
from server.store import query
from server.store.database import Database
from server.store.pool import Connection

_BEGIN = query("history_begin")
_MARK_AT = query("history_mark_at")
_MARK_BEFORE, _MARK_AFTER = query("history_mark_before"), query("history_mark_after")
_MARK_OF_SNAPSHOT = query("history_mark_of_snapshot")
_FEED, _SINCE = query("history_feed"), query("history_since")
_SERVICES, _DEPENDENCIES = query("history_services"), query("history_dependencies")
_ALIASES, _CONFIDENCES = query("history_aliases"), query("history_confidences")
# Rows decoded in one go, within 2 ms.
_PAGE = 500

Row = TypeVar("Row", Service, DependencyRow, ServiceAlias)


class HistoryReader:
    """``domain.history.PastReader`` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark_at(self, point: Point) -> Mark | None:
        """See ``PastReader.mark_at``. O(log marks); for the revision of a write O(marks since)."""

        async def find(connection: Connection) -> Mark | None:
            if isinstance(point, Revision):
                return await _mark_of(connection, point)
            return await _mark_at(connection, point)

        return await self._database.read(find)

    async def rows_at(self, mark: Mark, since: FeedPosition) -> AsyncGenerator[FormerRows, None]:
        """See ``PastReader.rows_at``. O(changes since the mark + decayed dependencies)."""
        async with self.reading(mark, since) as connection:
            # By time, where the snapshot is one of another cluster.
            after = mark.snapshot.text, None if mark.is_exact else mark.at
            async for services in _former(connection, _SERVICES, after, Service._make):
                yield RowChanges(services=services)
            undone = set[UUID]()
            async for dependencies in _former(connection, _DEPENDENCIES, after, DependencyRow._make):
                undone.update(dependencies)
                yield RowChanges(dependencies=dependencies)
            async for page in _pages(connection, _CONFIDENCES, since.snapshot.text):
                yield ReportedConfidences({id_: reported for id_, reported in page if id_ not in undone})
            async for aliases in _former(connection, _ALIASES, after, ServiceAlias._make):
                yield RowChanges(aliases=aliases)

    @asynccontextmanager
    async def reading(self, mark: Mark, since: FeedPosition) -> AsyncIterator[Connection]:
        """Lend a connection in a snapshot that shows all that changed since both: ``_check``."""
        async with self._transaction() as connection:
            await _check(connection, mark, since)
            yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._database.transaction(_BEGIN) as connection:
                yield connection
        except WriteConflictError as error:
            raise DatabaseUnavailableError(
                "another session keeps the history locked, as VACUUM FULL does: try again later"
            ) from error


async def _mark_at(connection: Connection, time: datetime) -> Mark:
    row = await connection.fetchrow(_MARK_AT, time)
    if row is None or row["is_exact"] is None:
        raise _unavailable(time, row)
    return Mark(
        row["at"],
        row["lineage"],
        Snapshot.parse(row["snapshot"]),
        row["feed_id"],
        row["next_at"],
        row["is_exact"],
    )


def _unavailable(time: datetime, row: Any) -> HistoryUnavailableError:
    wanted = f"the graph as of {_shown(time)} is not known: "
    if row is None or not row["is_on"]:
        return HistoryUnavailableError(f"{wanted}history is switched off (--keep-history 0)")
    oldest: datetime | None = row["oldest"]
    if oldest is None:
        return HistoryUnavailableError(
            f"{wanted}history begins anew, as after a change of the tables or a migration; "
            "GetStatus says what it waits for"
        )
    return HistoryUnavailableError(
        f"{wanted}the oldest time that can be asked for is {_shown(oldest)}", oldest_time=_shown(oldest)
    )


def _shown(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


async def _mark_of(connection: Connection, revision: Revision) -> Mark | None:
    """Find the state that a revision names; see ``PastReader.mark_at``."""
    feed_id: str = await connection.fetchval(_FEED)
    if _origin(revision.feed_id) != _origin(feed_id):
        raise RevisionUnknownError("the revision comes from another database: name a time instead")
    if revision.snapshot is None:
        at = await connection.fetchval(_MARK_AFTER, str(revision.xid))
        return None if at is None else await _mark_at(connection, at)
    at = await connection.fetchval(_MARK_OF_SNAPSHOT, revision.snapshot.text, revision.feed_id)
    if at is not None:
        return await _mark_at(connection, at)
    if revision.feed_id != feed_id:
        # A crash may have undone what such a snapshot saw; marks are durable, answers are not.
        raise RevisionUnknownError(
            "the revision is of an answer from before a crash or failover: name a time instead"
        )
    at = await connection.fetchval(_MARK_BEFORE, revision.snapshot.text)
    if at is None:
        raise HistoryUnavailableError("the revision is older than the history: name a later one, or a time")
    mark = await _mark_at(connection, at)
    return Mark(mark.at, mark.lineage, revision.snapshot, feed_id, mark.next_at, mark.is_exact)


def _origin(feed_id: str) -> str:
    """Return which database a feed is of, whatever run of it."""
    return feed_id.rpartition(":")[0]


async def _check(connection: Connection, mark: Mark, since: FeedPosition) -> None:
    """Check, in the snapshot that is read, that it shows all that changed since both."""
    row = await connection.fetchrow(_SINCE, since.snapshot.text)
    if (
        row is None
        or not row["usable"]
        or row["feed_id"] != since.feed_id
        or not Snapshot.parse(row["snapshot"]).covers(since.snapshot)
    ):
        raise ReplicaBehindError("the live graph does not follow this database at the moment: try again")
    # Later than the snapshot: a hole is counted before what it hides can be seen.
    found = await _mark_at(connection, mark.at)
    if (found.at, found.lineage, found.is_exact) != (mark.at, mark.lineage, mark.is_exact):
        raise HistoryUnavailableError(f"the history has come to an end since: {_shown(mark.at)} is lost")


async def _former(
    connection: Connection, statement: str, after: tuple[str, datetime | None], make: Callable[[Any], Row]
) -> AsyncIterator[dict[Any, Row | None]]:
    """Yield former rows by id, None = there was none."""
    async for page in _pages(connection, statement, *after):
        yield {row["id"]: make(tuple(row)[1:]) if row["existed"] else None for row in page}


async def _pages(
    connection: Connection, statement: str, *arguments: Any
) -> AsyncIterator[list[asyncpg.Record]]:
    cursor = await connection.cursor(statement, *arguments)
    while page := await cursor.fetch(_PAGE):
        yield page
