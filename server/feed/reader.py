"""Moves a graph to the database's present snapshot by batches of rows: what changed, or all."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import structlog

from graphcore.compiling import budget
from server import wire
from server.domain.changes import (
    ChangesDoNotFitError,
    FeedPosition,
    GraphSink,
    Ingestion,
    RowBatch,
    RowChanges,
    TableBatch,
)
from server.domain.dependencies import DependencyRow
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.feed import statements
from server.feed.connection import PAGE, FeedConnection

log = structlog.get_logger(__name__)

Inspection: TypeAlias = Callable[[FeedConnection], Awaitable[None]]
"""Reads the tables in the snapshot of the graph, which does not move meanwhile."""

# The row that fixes the snapshot carries at most this many changes, which saves a round trip.
INLINE_CHANGES = 1_000
# In the change log, ``source`` says which table a key is of: 1 = services, 2 = dependencies.
SERVICES_TABLE = 1
# Reading more than half of all rows by key takes longer than reading both tables whole; fewer than
# RELOAD_AT_LEAST rows never do.
RELOAD_AT_LEAST = 50_000
RELOAD_SHARE = 2
# A row out of a COPY stream takes a fifth of the time of a row by key, but a stream of changed
# dependencies needs a stream of all services first.
STREAM_AT_LEAST = 5_000
STREAM_SHARE = 4
# Bytes decoded between two awaits; a piece of a COPY stream may be several times as long.
_DECODED_AT_ONCE = 64 * 1024
_SNAPSHOT_TEXT = re.compile(r"[\d:,]+", re.ASCII)


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


class ReloadNeededError(Exception):
    """A table was truncated, or so much has changed that reading everything is cheaper."""


class Changes(NamedTuple):
    """The number of changed rows, and their batches, to be read once."""

    row_count: int
    batches: AsyncGenerator[RowBatch, None]


async def table_batches(connection: FeedConnection) -> AsyncGenerator[TableBatch, None]:
    """Yield all services, then all dependencies, as the open transaction sees them."""
    services = wire.ServiceCopy()
    async with aclosing(_copied(connection, statements.SERVICES, services)) as service_batches:
        async for service_batch in service_batches:
            yield service_batch
    reader = services.dependencies()
    async with aclosing(_copied(connection, statements.DEPENDENCIES, reader)) as dependency_batches:
        async for dependency_batch in dependency_batches:
            yield dependency_batch


async def changes_since(
    since: Snapshot, head: Any, *, connection: FeedConnection, sink: GraphSink
) -> Changes:
    """
    Choose the cheapest way to read what changed since a snapshot.

    ``head`` is the row that fixed the new snapshot. Raises ``ReloadNeededError``, as reading the
    batches may. O(changed rows), + O(services) for a stream.
    """
    if head["sources"] is not None:
        services, dependencies = _by_table(zip(head["sources"], head["ids"], strict=True))
        count = len(services) + len(dependencies)
        return Changes(count, _rows_by_key(connection, services, dependencies))
    count, any_row = await connection.row(statements.CHANGE_COUNT, since.text)
    if any_row or count > max(RELOAD_AT_LEAST, sink.row_count // RELOAD_SHARE):
        raise ReloadNeededError
    if count >= max(STREAM_AT_LEAST, sink.service_count // STREAM_SHARE):
        return Changes(count, _streamed(connection, since))
    return Changes(count, _looked_up(connection, since))


async def _streamed(connection: FeedConnection, since: Snapshot) -> AsyncGenerator[RowBatch, None]:
    """Yield all services, the keys of deleted rows, and the dependencies that changed."""
    # COPY takes no parameters.
    if not _SNAPSHOT_TEXT.fullmatch(since.text):
        raise ValueError(since.text)
    services = wire.ServiceCopy()
    async with aclosing(_copied(connection, statements.SERVICES, services)) as service_batches:
        async for service_batch in service_batches:
            yield service_batch
    async for page in connection.pages(statements.CHANGES_GONE, since.text):
        gone_services, gone_dependencies = _by_table(page)
        yield RowChanges(dict.fromkeys(gone_services), dict.fromkeys(gone_dependencies))
    query, reader = statements.DEPENDENCIES_CHANGED.replace("{since}", since.text), services.dependencies()
    async with aclosing(_copied(connection, query, reader)) as dependency_batches:
        async for dependency_batch in dependency_batches:
            yield dependency_batch


async def _looked_up(connection: FeedConnection, since: Snapshot) -> AsyncGenerator[RowBatch, None]:
    services: list[UUID] = []
    dependencies: list[UUID] = []
    async for page in connection.pages(statements.CHANGES, since.text):
        some_services, some_dependencies = _by_table(page)
        services += some_services
        dependencies += some_dependencies
    async for batch in _rows_by_key(connection, services, dependencies):
        yield batch


async def _rows_by_key(
    connection: FeedConnection, services: list[UUID], dependencies: list[UUID]
) -> AsyncGenerator[RowBatch, None]:
    """Yield the rows of these keys, None for those that no longer exist; services first."""
    for keys in _pages(services):
        changed: dict[UUID, Service | None] = dict.fromkeys(keys)
        for row in await connection.rows(statements.SERVICES_BY_ID, keys):
            changed[row["id"]] = Service._make(row)
        yield RowChanges(services=changed)
    for keys in _pages(dependencies):
        found: dict[UUID, DependencyRow | None] = dict.fromkeys(keys)
        for row in await connection.rows(statements.DEPENDENCIES_BY_ID, keys):
            found[row["id"]] = DependencyRow._make(row)
        yield RowChanges(dependencies=found)


async def _copied(
    connection: FeedConnection, query: str, reader: wire.CopyReader[wire.Batch]
) -> AsyncGenerator[wire.Batch, None]:
    """Run a query by COPY and yield the batches that ``reader`` makes of the stream."""
    async with aclosing(connection.copy(query)) as pieces:
        async for piece in pieces:
            size = budget(_DECODED_AT_ONCE)
            for start in range(0, len(piece), size):
                # Decoding takes almost a millisecond: let other work run.
                await asyncio.sleep(0)
                for batch in reader.take(piece[start : start + size]):
                    yield batch
    for batch in reader.finish():
        yield batch


def _by_table(pairs: Iterable[Iterable[Any]]) -> tuple[list[UUID], list[UUID]]:
    """
    Separate keys of services from keys of dependencies.

    Raises ``ReloadNeededError`` for a key NULL: any row of the table may have changed.
    """
    keys: tuple[list[UUID], list[UUID]] = ([], [])
    for source, key in pairs:
        if key is None:
            raise ReloadNeededError
        keys[source - SERVICES_TABLE].append(key)
    return keys


def _pages(keys: list[UUID]) -> Iterable[list[UUID]]:
    return (keys[start : start + PAGE] for start in range(0, len(keys), PAGE))
