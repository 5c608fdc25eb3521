"""The account of writes in the system of record: read in pages, and kept for a time."""

import asyncio
import random
from datetime import timedelta

import asyncpg
import structlog

from server.domain.revision import Revision
from server.domain.writes import Write, WriteCounts, WriteKey, WritePage
from server.store import query
from server.store.database import Database

log = structlog.get_logger(__name__)

MOST_WRITES = 10_000_000
"""About so many writes are kept at most: some 2.5 GB."""
BATCH = 5_000
"""Rows that one transaction removes: some ten milliseconds."""

_INTERVAL_SECONDS = 60.0
_JITTER = (0.9, 1.1)
_PAGE = query("writes_page")
_PRUNE = query("writes_prune")


class WriteRepository:
    """``ports.WriteStore`` on PostgreSQL; ``RetryableError`` when the database is away or busy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, size: int, after: WriteKey | None) -> WritePage:
        """See ``WriteStore.page``; an index range at any depth."""
        written_at, last_id = after or (None, None)
        records = await self._database.fetch(_PAGE, written_at, last_id, size + 1)
        writes = tuple(map(_write, records[:size]))
        following = WriteKey(writes[-1].written_at, writes[-1].id) if len(records) > size else None
        return WritePage(writes, following)

    async def prune(self, keep: timedelta, most: int = MOST_WRITES) -> int:
        """
        Remove writes older than ``keep`` and all but about the newest ``most``; returns how many.

        ``BATCH`` in a transaction. Removes nothing while another process prunes.
        """
        removed = 0
        while True:
            count: int = await self._database.read(
                lambda connection: connection.fetchval(_PRUNE, keep, most, BATCH)
            )
            removed += count
            if count < BATCH:
                return removed

    async def prune_forever(self, keep: timedelta) -> None:
        """Prune about every minute until cancelled; a failure is logged and tried again then."""
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS * random.uniform(*_JITTER))  # noqa: S311 - jitter, no secret
            try:
                removed = await self.prune(keep)
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common base below Exception
                log.warning("pruning the account of writes failed", error=f"{type(error).__name__}: {error}")
            else:
                log.debug("pruned the account of writes", rows=removed)


def _write(record: asyncpg.Record) -> Write:
    key, written_at, principal, method, feed_id, xid, *counts = record
    revision = Revision(feed_id, xid=int(xid)).token
    return Write(key, written_at, principal, method, revision, WriteCounts(*counts))
