"""Both tables as a whole, as records: by binary COPY where kernels are compiled, row by row where not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import numpy as np

from graphcore.compiled import kernel_state
from server.domain.dependencies import DependencyRow
from server.domain.edge_flags import flags_of
from server.domain.records import DependencyBatch, RecordFormat, ServiceBatch
from server.domain.services import Service
from server.feed import statements
from server.feed.connection import FeedConnection

TakeServices: TypeAlias = Callable[[ServiceBatch], Awaitable[None]]
TakeDependencies: TypeAlias = Callable[[DependencyBatch], Awaitable[None]]

# Bytes that are decoded in one go; what arrives at once may be several times as much.
_BITE = 64 * 1024


async def read_tables(
    connection: FeedConnection,
    records: RecordFormat,
    services: TakeServices,
    dependencies: TakeDependencies,
) -> None:
    """Read all services, then all dependencies, batch by batch; inside a transaction, whose snapshot it is."""
    if kernel_state().compiled:
        await _copy(connection, records, services, dependencies)
    else:
        await _page(connection, records, services, dependencies)


async def _copy(
    connection: FeedConnection,
    records: RecordFormat,
    services: TakeServices,
    dependencies: TakeDependencies,
) -> None:
    service_copy = records.service_copy()
    await copied(connection, statements.SERVICES, service_copy, services)
    await copied(connection, statements.DEPENDENCIES, service_copy.dependencies(), dependencies)


async def copied(
    connection: FeedConnection, query: str, copy: Any, take: Callable[[Any], Awaitable[None]]
) -> None:
    """Run a query by COPY, let ``copy`` make batches of what arrives, and hand those over."""

    async def arrived(piece: bytes) -> None:
        for start in range(0, len(piece), _BITE):
            await hand_over(copy.take(piece[start : start + _BITE]))

    async def hand_over(batches: list[Any]) -> None:
        for batch in batches:
            # Making a batch takes almost a millisecond.
            await asyncio.sleep(0)
            await take(batch)

    await connection.copy(query, arrived)
    await hand_over(copy.finish())


async def _page(
    connection: FeedConnection,
    records: RecordFormat,
    services: TakeServices,
    dependencies: TakeDependencies,
) -> None:
    names: list[str] = []
    places: dict[bytes, int] = {}
    async for page in connection.pages(statements.SERVICES):
        rows = [Service._make(row) for row in page]
        batch = service_batch(records, rows)
        places.update(zip(batch.keys, range(len(names), len(names) + len(rows)), strict=True))
        names += batch.names
        await services(batch)
    async for page in connection.pages(statements.DEPENDENCIES):
        await dependencies(
            dependency_batch(records, [DependencyRow._make(row) for row in page], names, places)
        )


def service_batch(records: RecordFormat, rows: list[Service]) -> ServiceBatch:
    """Make a batch of rows."""
    return ServiceBatch(
        keys=[row.id.bytes for row in rows],
        names=[row.service_id for row in rows],
        records=[records.service_record(row) for row in rows],
        briefs=[records.service_brief(row.service_id) for row in rows],
    )


def dependency_batch(
    records: RecordFormat, rows: list[DependencyRow], names: list[str], places: dict[bytes, int]
) -> DependencyBatch:
    """Make a batch of rows; ``names`` are those of all services, ``places`` where they stand by key."""
    sources = [places.get(row.source.bytes, -1) for row in rows]
    targets = [places.get(row.target.bytes, -1) for row in rows]
    flags = [flags_of(row) for row in rows]
    strays = {
        place: row
        for place, row in enumerate(rows)
        if flags[place] is None or sources[place] < 0 or targets[place] < 0
    }
    return DependencyBatch(
        keys=[row.id.bytes for row in rows],
        sources=np.array(sources, np.int32),
        targets=np.array(targets, np.int32),
        flags=np.array([-1 if place in strays else flag for place, flag in enumerate(flags)], np.int32),
        confidences=np.array([row.confidence_score for row in rows], np.float64),
        records=[
            records.dependency_record(
                row, "" if source < 0 else names[source], "" if target < 0 else names[target]
            )
            for row, source, target in zip(rows, sources, targets, strict=True)
        ],
        strays=strays,
    )
