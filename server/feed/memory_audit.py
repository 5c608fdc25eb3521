"""Compares memory with the tables from time to time, while the feed goes on."""

import asyncio
import random
import re
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import asyncpg
import numpy as np
import structlog

from server import wire
from server.config import FeedSettings
from server.domain.changes import GraphSink, HeldGraph, HeldRecords, TableBatch
from server.domain.live_graph import MemoryAudit
from server.domain.records import AliasBatch, ServiceBatch
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.follower import Feed
from server.feed.health import Vitals
from server.feed.rows import table_batches

log = structlog.get_logger(__name__)

# Rows compared at a time; afterwards other work gets the event loop for the same time.
PORTION = 500
MOST_EXAMPLES = 3
_SNAPSHOT_NAME = re.compile(r"[0-9A-F-]+", re.ASCII)


class AuditYieldedError(Exception):
    """DDL or TRUNCATE waits for a table that the audit has locked."""


class MemoryAuditor:
    """
    Checks from time to time that memory equals the tables.

    They differ only after writes that bypass the feed triggers (disabled, dropped, logical
    replication) or because of a defect. Then everything is read again, and health reports it.
    """

    def __init__(
        self, url: str, feed: Feed, sink: GraphSink, settings: FeedSettings, *, vitals: Vitals
    ) -> None:
        self._url = url
        self._feed = feed
        self._sink = sink
        self._settings = settings
        self._vitals = vitals

    async def run(self) -> None:
        """Audit about every ``audit_interval``, with jitter, until cancelled; 0 = never."""
        interval = self._settings.audit_interval.total_seconds()
        while interval:
            await asyncio.sleep(interval * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            try:
                await self.audit()
            except (AuditYieldedError, asyncpg.LockNotAvailableError):
                log.info(
                    "the audit gave way to a change of a table; the next audit comes at the next interval"
                )
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common base below Exception
                self._vitals.failed_audits += 1
                log.warning("the audit failed", error=f"{type(error).__name__}: {error}")

    async def audit(self) -> MemoryAudit:
        """
        Compare now; if a row differs, have everything read again.

        The audit collects the records in memory at the snapshot of a step. Its own
        connection then reads the tables in the same snapshot, while memory moves on. O(rows), at
        most half of that time on the event loop, a few milliseconds in one go.

        Raises ``AuditYieldedError`` or ``asyncpg.LockNotAvailableError`` when DDL or TRUNCATE wants
        a table meanwhile, and what a lost connection raises.
        """
        began_at, began = datetime.now(UTC), time.monotonic()
        limit = self._settings.step_timeout
        async with FeedConnection.open(self._url, limit, name="depgraph audit") as connection:
            held = await self._feed.within_step(lambda step: self._hand_over(step, connection))
            comparison = _Comparison(held, self._vitals)
            async with aclosing(table_batches(connection)) as batches:
                async for batch in batches:
                    await comparison.compare(batch)
        comparison.add_rows_in_memory_only()
        audit = MemoryAudit(began_at, timedelta(seconds=time.monotonic() - began), comparison.differing_rows)
        self._conclude(audit, tuple(comparison.examples))
        return audit

    async def _hand_over(self, step: FeedConnection, reader: FeedConnection) -> HeldGraph:
        """Collect what memory holds, and let the reader see the tables at the same snapshot."""
        name: str = (await step.row(statements.EXPORT_SNAPSHOT))[0]
        if not _SNAPSHOT_NAME.fullmatch(name):
            raise ValueError(name)
        await reader.execute(statements.IMPORT_SNAPSHOT.replace("{snapshot}", name))
        return await self._sink.held()

    def _conclude(self, audit: MemoryAudit, examples: tuple[str, ...]) -> None:
        self._vitals.audited(audit, examples)
        seconds = round(audit.duration.total_seconds(), 3)
        if not audit.differing_rows:
            log.info("memory equals the tables", audit_seconds=seconds)
            return
        log.error(
            "memory differed from the tables, so all is read again: "
            "does a program write past the feed triggers?",
            differing_rows=audit.differing_rows,
            examples=examples,
            audit_seconds=seconds,
        )
        self._feed.read_everything()


class _Comparison:
    """Compares rows of the tables with the records that memory held."""

    def __init__(self, held: HeldGraph, vitals: Vitals) -> None:
        self._held = held
        self._vitals = vitals
        self._lock_waits = vitals.lock_waits
        self.differing_rows = 0
        self.examples: list[str] = []

    async def compare(self, batch: TableBatch) -> None:
        """Compare some rows."""
        if isinstance(batch, ServiceBatch):
            await self._compare("service", self._held.services, batch)
            return
        if isinstance(batch, AliasBatch):
            await self._compare("alias", self._held.aliases, batch)
            return
        for place in np.flatnonzero((batch.sources == batch.targets) | (batch.flags < 0)).tolist():
            # Rows that can't be edges: memory holds their records without names.
            batch.records[place] = wire.renamed(batch.records[place], "", "")
        await self._compare("dependency", self._held.dependencies, batch)

    def add_rows_in_memory_only(self) -> None:
        """Add the rows that no table held."""
        for table, held in (
            ("service", self._held.services),
            ("dependency", self._held.dependencies),
            ("alias", self._held.aliases),
        ):
            for key in held.rest():
                self._add(table, key, "is in memory only")

    def _add(self, table: str, key: object, how: str) -> None:
        self.differing_rows += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(f"{table} {UUID(bytes=cast('bytes', key))} {how}")

    async def _compare(self, table: str, held: HeldRecords, batch: TableBatch) -> None:
        keys, records = batch.keys, batch.records
        for start in range(0, len(keys), PORTION):
            if self._vitals.lock_waits != self._lock_waits:
                raise AuditYieldedError
            began = time.monotonic()
            portion = slice(start, start + PORTION)
            for key, record in zip(keys[portion], records[portion], strict=True):
                known = held.take(key)
                if known != record:
                    how = "is missing in memory" if known is None else "has other values in memory"
                    self._add(table, key, how)
            # Leave the event loop to other work for the same time.
            await asyncio.sleep(time.monotonic() - began)
