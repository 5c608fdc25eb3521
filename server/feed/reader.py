"""Reads one snapshot: everything, or what differs from the snapshot before."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

import structlog

from server.domain.changes import ChangesDoNotFitError, FeedPosition, GraphSink
from server.domain.consistency import Ingestion
from server.domain.records import RecordFormat
from server.domain.revision import Snapshot
from server.feed import statements
from server.feed.changes import Changes, ReloadNeededError
from server.feed.connection import FeedConnection
from server.feed.tables import read_tables

log = structlog.get_logger(__name__)

Inspection: TypeAlias = Callable[[FeedConnection], Awaitable[None]]
"""Looks at the tables through the snapshot that memory stands at; memory does not move until it is done."""

# Up to so many changes come along with the snapshot itself, which saves a round trip.
INLINE_CHANGES = 1_000


class IncarnationChangedError(Exception):
    """The database was promoted or restored, or its tables, triggers or functions were altered: nobody knows what changed."""


class SnapshotReader:
    """
    Moves a graph to the database's present snapshot, all or nothing.

    ``inspect`` is called inside the transaction of every step, after the graph has moved to its
    snapshot. ``old_writers`` are the transactions that were in progress when what the feed rests on
    was found to have changed. They may have written past the log, under a function that was swapped
    meanwhile, so a step that sees the end of one reads everything.
    """

    def __init__(
        self,
        connection: FeedConnection,
        feed_id: str,
        sink: GraphSink,
        records: RecordFormat,
        inspect: Inspection | None = None,
        *,
        old_writers: frozenset[int] = frozenset(),
    ) -> None:
        self._connection = connection
        self._feed_id = feed_id
        self._sink = sink
        self._records = records
        self._inspect = inspect
        self._old_writers = old_writers

    async def advance(self, *, whole: bool = False) -> int:
        """
        Take one step: O(changed rows), or O(everything) the first time, when the cursor can't be continued, and when ``whole`` is asked for.

        Returns how many rows were read by key; 0 when everything was read.

        Raises ``asyncpg.LockNotAvailableError`` while DDL holds a table, ``IncarnationChangedError``, or what a lost connection
        raises; the graph then stays where it was.
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
        """Move on by what changed; returns how many rows were read, or None when everything must be read instead."""
        try:
            changes = Changes(self._connection, self._records, self._sink)
            step, rows = await changes.read(before, head)
            # The COMMIT afterwards only lets go.
            await self._sink.apply(step, position)
        except ReloadNeededError:
            return None
        except ChangesDoNotFitError as error:
            # Only changes that were never logged make this possible. Trying again would fail for good.
            log.error(  # noqa: TRY400 - the trace of it helps nobody
                "memory differed from the tables, so all is read again: were feed triggers disabled?",
                error=str(error),
            )
            return None
        return rows

    def _ended(self, now: Snapshot, before: Snapshot) -> bool:
        return now.shows_the_end_of_any(self._old_writers, before)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        try:
            await self._connection.execute(statements.BEGIN)
            yield
        except BaseException:
            # On a lost connection this raises too, and the first error is the one to tell.
            await _quietly(self._connection.execute(statements.ROLLBACK))
            raise
        await self._connection.execute(statements.COMMIT)

    def _position(self, head: Any) -> FeedPosition:
        if head["incarnation"] is None or not self._feed_id.endswith(f":{head['incarnation']}"):
            raise IncarnationChangedError
        return FeedPosition(self._feed_id, Snapshot.parse(head["snapshot"]), _ingestions(head["ingestions"]))

    async def _load(self, position: FeedPosition) -> None:
        # Held until a later step has followed on: what the log holds of the time meanwhile must not be pruned.
        await self._connection.hold_log()
        load = self._sink.loading_begins()
        await read_tables(self._connection, self._records, load.add_services, load.add_dependencies)
        await self._sink.swap(load, position)


def _ingestions(text: str) -> tuple[Ingestion, ...]:
    return tuple(
        Ingestion(source, datetime.fromisoformat(observed), datetime.fromisoformat(ingested))
        for source, observed, ingested in json.loads(text)
    )


async def _quietly(cleaning: Any) -> None:
    try:
        await cleaning
    except Exception:  # noqa: BLE001 - asyncpg's errors on a dead connection have no common base below Exception
        return
