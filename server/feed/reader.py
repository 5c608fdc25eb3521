"""Moves a graph to the database's present snapshot by what changed, or by all rows."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeAlias

import structlog

from server.domain.changes import ChangesDoNotFitError, FeedPosition, GraphSink, Ingestion
from server.domain.revision import Snapshot
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.rows import ReloadNeededError, changes_since, table_batches

log = structlog.get_logger(__name__)

Inspection: TypeAlias = Callable[[FeedConnection], Awaitable[None]]
"""Reads the tables in the snapshot of the graph, which does not move meanwhile."""

# The row that fixes the snapshot carries at most this many changes, which saves a round trip.
INLINE_CHANGES = 1_000


class IncarnationChangedError(Exception):
    """
    The database was promoted or restored, or its tables, triggers or functions were altered.

    So it is unknown what has changed.
    """


class SnapshotReader:
    """
    Moves a graph to the database's present snapshot, completely or not at all.

    ``inspect`` is called inside the transaction of every step, after the graph has moved.
    ``old_writers`` are the transactions in progress when tables, triggers or functions were found
    to have changed. They may have bypassed the log, by a function that was replaced meanwhile, so a
    step that sees the end of one reads everything.
    """

    def __init__(
        self,
        connection: FeedConnection,
        feed_id: str,
        sink: GraphSink,
        inspect: Inspection | None = None,
        *,
        old_writers: frozenset[int] = frozenset(),
    ) -> None:
        self._connection = connection
        self._feed_id = feed_id
        self._sink = sink
        self._inspect = inspect
        self._old_writers = old_writers

    async def advance(self, *, whole: bool = False) -> int:
        """
        Take one step; returns how many rows were read by key, 0 when everything was read.

        O(changed rows). O(everything) for the first step, when the log no longer reaches back to
        the graph's snapshot, and when ``whole``.

        Raises ``asyncpg.LockNotAvailableError`` while DDL holds a table,
        ``IncarnationChangedError``, or what a lost connection raises; then the graph has not moved.
        """
        before = self._sink.position
        if whole or (before is not None and before.feed_id != self._feed_id):
            before = None
        if before is None:
            await self._connection.hold_log()
        self._sink.snapshot_begins()
        async with self._transaction():
            head = await self._connection.row(
                statements.STEP, before.snapshot.text if before else None, INLINE_CHANGES
            )
            position = self._position(head)
            changed = None
            if before is not None and head["usable"] and not self._ended(position.snapshot, before.snapshot):
                changed = await self._follow(before.snapshot, head, position)
            if changed is None:
                await self._load(position)
            if self._inspect is not None:
                await self._inspect(self._connection)
        if changed is None:
            return 0
        await self._connection.release_log()
        return changed

    async def _follow(self, before: Snapshot, head: Any, position: FeedPosition) -> int | None:
        """Apply what changed; returns how many rows, or None when everything must be read."""
        try:
            changes = await changes_since(before, head, connection=self._connection, sink=self._sink)
            async with aclosing(changes.batches) as batches:
                await self._sink.apply(batches, position)
        except ReloadNeededError:
            return None
        except ChangesDoNotFitError as error:
            # Only changes that were never logged make this possible; trying again would fail too.
            log.error(  # noqa: TRY400 - the trace says nothing more
                "memory differed from the tables, so all is read again: were feed triggers disabled?",
                error=str(error),
            )
            return None
        return changes.row_count

    def _ended(self, now: Snapshot, before: Snapshot) -> bool:
        return now.shows_the_end_of_any(self._old_writers, before)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            await self._connection.execute(statements.BEGIN)
            yield
        except BaseException:
            # On a lost connection this fails too; the first error is the one to raise.
            with suppress(Exception):
                await self._connection.execute(statements.ROLLBACK)
            raise
        await self._connection.execute(statements.COMMIT)

    def _position(self, head: Any) -> FeedPosition:
        if head["incarnation"] is None or not self._feed_id.endswith(f":{head['incarnation']}"):
            raise IncarnationChangedError
        return FeedPosition(self._feed_id, Snapshot.parse(head["snapshot"]), _ingestions(head["ingestions"]))

    async def _load(self, position: FeedPosition) -> None:
        # Held until a later step has followed: changes made during the load must not be pruned.
        await self._connection.hold_log()
        async with aclosing(table_batches(self._connection)) as batches:
            await self._sink.load(batches, position)


def _ingestions(text: str) -> tuple[Ingestion, ...]:
    return tuple(
        Ingestion(source, datetime.fromisoformat(observed), datetime.fromisoformat(ingested))
        for source, observed, ingested in json.loads(text)
    )
