"""Batches of rows in one snapshot: whole tables, or what changed since an earlier snapshot."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple
from uuid import UUID

from graphcore.compiling import budget
from server.domain.changes import GraphSink, RowBatch, RowChanges, TableBatch
from server.domain.dependencies import DependencyRow
from server.domain.records import Batch, CopyReader, RecordFormat
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.feed import statements
from server.feed.connection import PAGE, FeedConnection

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


class ReloadNeededError(Exception):
    """A table was truncated, or so much has changed that reading everything is cheaper."""


class Changes(NamedTuple):
    """What changed between two snapshots: how many rows, and their batches, to be read once."""

    row_count: int
    batches: AsyncGenerator[RowBatch, None]


async def table_batches(
    connection: FeedConnection, records: RecordFormat
) -> AsyncGenerator[TableBatch, None]:
    """Yield all services, then all dependencies, as the open transaction sees them."""
    services = records.service_copy()
    async with aclosing(_copied(connection, statements.SERVICES, services)) as service_batches:
        async for service_batch in service_batches:
            yield service_batch
    reader = services.dependencies()
    async with aclosing(_copied(connection, statements.DEPENDENCIES, reader)) as dependency_batches:
        async for dependency_batch in dependency_batches:
            yield dependency_batch


async def changes_since(
    since: Snapshot, head: Any, *, connection: FeedConnection, records: RecordFormat, sink: GraphSink
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
        return Changes(count, _streamed(connection, records, since))
    return Changes(count, _looked_up(connection, since))


async def _streamed(
    connection: FeedConnection, records: RecordFormat, since: Snapshot
) -> AsyncGenerator[RowBatch, None]:
    """Yield all services, the keys of deleted rows, and the dependencies that changed."""
    # COPY takes no parameters.
    if not _SNAPSHOT_TEXT.fullmatch(since.text):
        raise ValueError(since.text)
    services = records.service_copy()
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
    connection: FeedConnection, query: str, reader: CopyReader[Batch]
) -> AsyncGenerator[Batch, None]:
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

    Raises ``ReloadNeededError`` where any row of a table may have changed (its key is NULL).
    """
    keys: tuple[list[UUID], list[UUID]] = ([], [])
    for source, key in pairs:
        if key is None:
            raise ReloadNeededError
        keys[source - SERVICES_TABLE].append(key)
    return keys


def _pages(keys: list[UUID]) -> Iterable[list[UUID]]:
    return (keys[start : start + PAGE] for start in range(0, len(keys), PAGE))
