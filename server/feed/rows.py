"""Rows out of the tables, batch by batch: all of them, or those that changed since a snapshot."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, NamedTuple, cast
from uuid import UUID

from graphcore.compiling import budget
from server import wire
from server.domain.changes import GraphSink, RowBatch, RowChanges, TableBatch
from server.domain.dependencies import DependencyRow
from server.domain.records import AliasBatch, alias_record
from server.domain.revision import Snapshot
from server.domain.services import Service, ServiceAlias
from server.feed import statements
from server.feed.connection import PAGE, FeedConnection

# In the change log, ``source`` says which table a key is of: 1 = services, 2 = dependencies, 3 =
# aliases.
SERVICES_TABLE = 1
# Reading more than half of all rows by key takes longer than reading all tables whole; fewer than
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
    """The number of changed rows, and their batches, to be read once."""

    row_count: int
    batches: AsyncGenerator[RowBatch, None]


class _Keys(NamedTuple):
    """Changed keys by table."""

    services: list[UUID]
    dependencies: list[UUID]
    aliases: list[UUID]


async def table_batches(connection: FeedConnection) -> AsyncGenerator[TableBatch, None]:
    """Yield all services, then all dependencies, then all aliases, as the transaction sees them."""
    services = wire.ServiceCopy()
    async with aclosing(_copied(connection, statements.SERVICES, services)) as service_batches:
        async for service_batch in service_batches:
            yield service_batch
    reader = services.dependencies()
    async with aclosing(_copied(connection, statements.DEPENDENCIES, reader)) as dependency_batches:
        async for dependency_batch in dependency_batches:
            yield dependency_batch
    async for page in connection.pages(statements.ALIASES):
        aliases = [alias_record(ServiceAlias._make(row)) for row in page]
        yield AliasBatch([cast("bytes", alias.key) for alias in aliases], aliases)


async def changes_since(
    since: Snapshot, head: Any, *, connection: FeedConnection, sink: GraphSink
) -> Changes:
    """
    Choose the cheapest way to read what changed since a snapshot.

    ``head`` is the row that fixed the new snapshot. Raises ``ReloadNeededError``, as reading the
    batches may. O(changed rows), + O(services) for a stream.
    """
    if head["sources"] is not None:
        keys = _by_table(zip(head["sources"], head["ids"], strict=True))
        return Changes(sum(map(len, keys)), _rows_by_key(connection, keys))
    count, any_row = await connection.row(statements.CHANGE_COUNT, since.text)
    if any_row or count > max(RELOAD_AT_LEAST, sink.row_count // RELOAD_SHARE):
        raise ReloadNeededError
    if count >= max(STREAM_AT_LEAST, sink.service_count // STREAM_SHARE):
        return Changes(count, _streamed(connection, since))
    return Changes(count, _looked_up(connection, since))


async def _streamed(connection: FeedConnection, since: Snapshot) -> AsyncGenerator[RowBatch, None]:
    """Yield all services, the keys of deleted rows, and what changed of the other tables."""
    # COPY takes no parameters.
    if not _SNAPSHOT_TEXT.fullmatch(since.text):
        raise ValueError(since.text)
    services = wire.ServiceCopy()
    async with aclosing(_copied(connection, statements.SERVICES, services)) as service_batches:
        async for service_batch in service_batches:
            yield service_batch
    async for page in connection.pages(statements.CHANGES_GONE, since.text):
        yield RowChanges(*map(_all_gone, _by_table(page)))
    query, reader = statements.DEPENDENCIES_CHANGED.replace("{since}", since.text), services.dependencies()
    async with aclosing(_copied(connection, query, reader)) as dependency_batches:
        async for dependency_batch in dependency_batches:
            yield dependency_batch
    async for page in connection.pages(statements.ALIASES_CHANGED, since.text):
        yield RowChanges(aliases={row["id"]: ServiceAlias._make(row) for row in page})


async def _looked_up(connection: FeedConnection, since: Snapshot) -> AsyncGenerator[RowBatch, None]:
    keys = _Keys([], [], [])
    async for page in connection.pages(statements.CHANGES, since.text):
        for all_keys, some in zip(keys, _by_table(page), strict=True):
            all_keys.extend(some)
    async for batch in _rows_by_key(connection, keys):
        yield batch


async def _rows_by_key(connection: FeedConnection, keys: _Keys) -> AsyncGenerator[RowBatch, None]:
    """Yield the rows of these keys, None for those that no longer exist; services first."""
    for some in _pages(keys.services):
        services: dict[UUID, Service | None] = _all_gone(some)
        for row in await connection.rows(statements.SERVICES_BY_ID, some):
            services[row["id"]] = Service._make(row)
        yield RowChanges(services=services)
    for some in _pages(keys.dependencies):
        dependencies: dict[UUID, DependencyRow | None] = _all_gone(some)
        for row in await connection.rows(statements.DEPENDENCIES_BY_ID, some):
            dependencies[row["id"]] = DependencyRow._make(row)
        yield RowChanges(dependencies=dependencies)
    for some in _pages(keys.aliases):
        aliases: dict[UUID, ServiceAlias | None] = _all_gone(some)
        for row in await connection.rows(statements.ALIASES_BY_ID, some):
            aliases[row["id"]] = ServiceAlias._make(row)
        yield RowChanges(aliases=aliases)


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


def _all_gone(keys: list[UUID]) -> dict[UUID, Any]:
    return dict.fromkeys(keys)


def _by_table(pairs: Iterable[Iterable[Any]]) -> _Keys:
    """
    Separate keys by their tables.

    Raises ``ReloadNeededError`` for a key NULL: any row of the table may have changed.
    """
    keys = _Keys([], [], [])
    for source, key in pairs:
        if key is None:
            raise ReloadNeededError
        keys[source - SERVICES_TABLE].append(key)
    return keys


def _pages(keys: list[UUID]) -> Iterable[list[UUID]]:
    return (keys[start : start + PAGE] for start in range(0, len(keys), PAGE))
