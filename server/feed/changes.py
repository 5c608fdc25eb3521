"""Reads what differs from the snapshot that memory stands at: by key, or as a whole stream where that is faster."""

import re
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from graphcore.compiled import kernel_state
from server.domain.changes import GraphSink, GraphStep, RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.records import RecordFormat
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.feed import statements
from server.feed.connection import PAGE, FeedConnection
from server.feed.tables import copied

SERVICE_KEY, DEPENDENCY_KEY = 1, 2
# Reading more than half of all rows one by one takes longer than reading all of them, but few rows never take long.
RELOAD_AT_LEAST = 50_000
RELOAD_SHARE = 2
# A stream of changed dependencies needs a stream of all services first. Per row it takes a fifth of what a row by its key takes.
STREAM_AT_LEAST = 5_000
STREAM_SHARE = 4
_SNAPSHOT_TEXT = re.compile(r"[\d:,]+", re.ASCII)


class ReloadNeededError(Exception):
    """A table was truncated, or so much has changed that reading everything is cheaper."""


class Changes:
    """Reads changes into steps of one graph, inside the transaction of the new snapshot."""

    def __init__(self, connection: FeedConnection, records: RecordFormat, sink: GraphSink) -> None:
        self._connection = connection
        self._records = records
        self._sink = sink

    async def read(self, since: Snapshot, head: Any) -> tuple[GraphStep, int]:
        """
        Read what changed since a snapshot; returns the step, and how many rows were looked at.

        ``head`` is the row that fixed the new snapshot. Raises ``ReloadNeededError``. O(changed rows), + O(services) for a stream.
        """
        step = self._sink.step_begins()
        if head["sources"] is not None:
            keys = _divided(zip(head["sources"], head["ids"], strict=True))
            await self._look_up(step, *keys)
            return step, sum(map(len, keys))
        rows, any_row = await self._connection.row(statements.CHANGE_COUNT, since.text)
        if any_row or rows > max(RELOAD_AT_LEAST, self._sink.row_count // RELOAD_SHARE):
            raise ReloadNeededError
        worth_it = rows >= max(STREAM_AT_LEAST, self._sink.service_count // STREAM_SHARE)
        if worth_it and kernel_state().compiled:
            await self._stream(step, since)
        else:
            await self._look_up_all(step, since)
        return step, rows

    async def _stream(self, step: GraphStep, since: Snapshot) -> None:
        """Let the database send all services, and the dependencies that changed."""
        if not _SNAPSHOT_TEXT.fullmatch(since.text):
            raise ValueError(since.text)
        services = self._records.service_copy()
        await copied(self._connection, statements.SERVICES, services, step.add_services)
        async for page in self._connection.pages(statements.CHANGES_GONE, since.text):
            gone_services, gone_dependencies = _divided(page)
            await step.add(RowChanges(dict.fromkeys(gone_services), dict.fromkeys(gone_dependencies)))
        query = statements.DEPENDENCIES_CHANGED.replace("{since}", since.text)
        await copied(self._connection, query, services.dependencies(), step.add_dependencies)

    async def _look_up_all(self, step: GraphStep, since: Snapshot) -> None:
        services: list[UUID] = []
        dependencies: list[UUID] = []
        async for page in self._connection.pages(statements.CHANGES, since.text):
            some_services, some_dependencies = _divided(page)
            services += some_services
            dependencies += some_dependencies
        await self._look_up(step, services, dependencies)

    async def _look_up(self, step: GraphStep, services: list[UUID], dependencies: list[UUID]) -> None:
        """Read the rows of these keys, as far as there are any."""
        for keys in _parts(services):
            page: dict[UUID, Service | None] = dict.fromkeys(keys)
            for row in await self._connection.rows(statements.SERVICES_BY_ID, keys):
                page[row["id"]] = Service._make(row)
            await step.add(RowChanges(services=page))
        for keys in _parts(dependencies):
            found: dict[UUID, DependencyRow | None] = dict.fromkeys(keys)
            for row in await self._connection.rows(statements.DEPENDENCIES_BY_ID, keys):
                found[row["id"]] = DependencyRow._make(row)
            await step.add(RowChanges(dependencies=found))


def _divided(pairs: Iterable[Iterable[Any]]) -> tuple[list[UUID], list[UUID]]:
    """Tell keys of services from keys of dependencies; ``ReloadNeededError`` where any row of a table may have changed."""
    keys: tuple[list[UUID], list[UUID]] = ([], [])
    for source, key in pairs:
        if key is None:
            raise ReloadNeededError
        keys[source - SERVICE_KEY].append(key)
    return keys


def _parts(keys: list[UUID]) -> Iterable[list[UUID]]:
    return (keys[start : start + PAGE] for start in range(0, len(keys), PAGE))
