"""Compares memory with the tables, now and then, while the feed goes on."""

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from server.config import FeedSettings
from server.domain.changes import GraphSink, HeldRows
from server.domain.dependencies import DependencyRow
from server.domain.health import Audit
from server.domain.services import Service
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.follower import Feed
from server.feed.vitals import Vitals

log = structlog.get_logger(__name__)

# Compared at a time, before others get the event loop for as long.
PORTION = 100
MOST_EXAMPLES = 3
_SNAPSHOT_NAME = re.compile(r"[0-9A-F-]+", re.ASCII)

Row: TypeAlias = Service | DependencyRow


class AuditYieldedError(Exception):
    """Somebody wants to change a table and waits for the audit to let go of it."""


@dataclass(slots=True)
class Differences:
    """How many rows differ, and a few of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, table: str, key: UUID, how: str) -> None:
        """Note one row."""
        self.count += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{table} {key} {how}")


class Auditor:
    """
    Proves from time to time that memory is what the tables are, or finds out that it isn't.

    Only writes past the feed triggers (disabled, dropped, logical replication) and defects make a difference. Then memory is read
    anew, and everybody is told.
    """

    def __init__(self, url: str, feed: Feed, sink: GraphSink, settings: FeedSettings, vitals: Vitals) -> None:
        self._url = url
        self._feed = feed
        self._sink = sink
        self._settings = settings
        self._vitals = vitals

    async def run(self) -> None:
        """Audit every ``audit_interval`` until cancelled, at random times, so that replicas take turns; 0 = never."""
        interval = self._settings.audit_interval.total_seconds()
        while interval:
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            try:
                await self.audit()
            except (AuditYieldedError, asyncpg.LockNotAvailableError):
                log.info("the audit made way for a change of a table; it is made up for at the next turn")
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common base below Exception
                self._vitals.failed_audits += 1
                log.warning("the audit failed", error=f"{type(error).__name__}: {error}")

    async def audit(self) -> Audit:
        """
        Compare now, and have memory read anew if a row differs.

        The rows in memory are noted at the snapshot of a step; a connection of its own reads the tables as that very snapshot shows
        them, at leisure, while memory moves on. O(rows), at most half of that time on the event loop, a millisecond or two in one go.

        Raises ``AuditYieldedError`` or ``asyncpg.LockNotAvailableError`` when DDL or TRUNCATE wants a table meanwhile, and what a lost
        connection raises.
        """
        began_at, began = datetime.now(UTC), time.monotonic()
        limit = self._settings.step_timeout
        async with FeedConnection.open(self._url, limit, name="depgraph audit") as connection:
            held = await self._feed.within_step(lambda step: self._hand_over(step, connection))
            found = Differences()
            await self._compare(found, "service", held.services, connection, statements.SERVICES)
            await self._compare(found, "dependency", held.dependencies, connection, statements.DEPENDENCIES)
        audit = Audit(began_at, timedelta(seconds=time.monotonic() - began), found.count)
        self._conclude(audit, tuple(found.examples))
        return audit

    async def _hand_over(self, step: FeedConnection, reader: FeedConnection) -> HeldRows:
        """Note what memory holds, and let the reader see the tables at the same snapshot."""
        name: str = (await step.row(statements.EXPORT_SNAPSHOT))[0]
        if not _SNAPSHOT_NAME.fullmatch(name):
            raise ValueError(name)
        await reader.execute(statements.IMPORT_SNAPSHOT.replace("{snapshot}", name))
        return self._sink.held()

    async def _compare(
        self,
        found: Differences,
        table: str,
        held: Iterable[Row],
        connection: FeedConnection,
        query: str,
    ) -> None:
        expected: dict[UUID, Row] = {}
        async for rows in _portions(held):
            expected.update((row.id, row) for row in rows)
        lock_waits = self._vitals.lock_waits
        async for page in connection.pages(query, size=PORTION):
            if self._vitals.lock_waits != lock_waits:
                raise AuditYieldedError
            await _gently(partial(_match, found, table, expected, page))
        for key in expected:
            found.add(table, key, "is in memory only")

    def _conclude(self, audit: Audit, examples: tuple[str, ...]) -> None:
        self._vitals.audited(audit, examples)
        seconds = round(audit.duration.total_seconds(), 3)
        if not audit.differing_rows:
            log.info("memory equals the tables", audit_seconds=seconds)
            return
        log.error(
            "memory differed from the tables, so all is read again: does somebody write past the feed triggers?",
            differing_rows=audit.differing_rows,
            examples=examples,
            audit_seconds=seconds,
        )
        self._feed.read_everything()


def _match(found: Differences, table: str, expected: dict[UUID, Row], page: list[asyncpg.Record]) -> None:
    """Take the rows of a page out of what is expected, noting those that are not as expected."""
    for record in page:
        row = expected.pop(record["id"], None)
        if row is None:
            found.add(table, record["id"], "is missing in memory")
        elif row != tuple(record):
            found.add(table, record["id"], "has other values in memory")


async def _portions(rows: Iterable[Row]) -> AsyncIterator[list[Row]]:
    """Go through rows a portion at a time, leaving the event loop to others in between."""
    remaining: Iterator[Row] = iter(rows)
    while portion := list(islice(remaining, PORTION)):
        yield portion
        await asyncio.sleep(0)


async def _gently(work: Callable[[], Any]) -> None:
    """Work, then leave the event loop to others for as long."""
    began = time.monotonic()
    work()
    await asyncio.sleep(time.monotonic() - began)
