"""The change log: which keys changed between two snapshots, and pruning."""

import asyncio
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import structlog

from server.config import FeedSettings
from server.domain.errors import DatabaseUnavailableError, InvalidRevisionError
from server.domain.revision import Revision, Snapshot, in_progress
from server.domain.watching import ChangedKeys
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.health import Vitals
from server.feed.rows import SERVICES_TABLE
from server.postgres import DRIVER_ERRORS, Session, connect, explain

log = structlog.get_logger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# After a restart all watchers come back at once; they must not take connections from writers.
MAX_READERS = 4
# Rows that one transaction prunes.
BATCH = 20_000
COMMAND_TIMEOUT = timedelta(minutes=1)


class ChangeLogReader:
    """
    ``domain.watching.ChangeHistory`` on connections of its own, at most ``MAX_READERS``.

    The feed's connection is busy, and those of the pool belong to writers.
    """

    def __init__(self, url: str, settings: FeedSettings) -> None:
        self._url = url
        self._limit = settings.step_timeout
        self._readers = asyncio.Semaphore(MAX_READERS)

    async def changed(
        self, feed_id: str, since: Snapshot, until: Snapshot, at_most: int
    ) -> ChangedKeys | None:
        """See ``ChangeHistory.changed``."""
        try:
            async with (
                self._readers,
                FeedConnection.open(self._url, self._limit, name="depgraph history") as connection,
            ):
                return await _read(connection, feed_id, since, until, at_most)
        except asyncpg.DataError:
            raise InvalidRevisionError(
                "the revision is not one that this service gave: its snapshot makes no sense"
            ) from None
        except DRIVER_ERRORS as error:
            raise DatabaseUnavailableError(
                f"the changes since the revision can't be read from the database now: {explain(error)}"
            ) from error


async def _read(
    connection: FeedConnection, feed_id: str, since: Snapshot, until: Snapshot, at_most: int
) -> ChangedKeys | None:
    # One snapshot for both questions: what is complete now may be pruned a moment later.
    await connection.execute(statements.BEGIN_HISTORY)
    history = await connection.row(statements.HISTORY, since.text)
    if not history["is_complete"] or not feed_id.endswith(f":{history['incarnation']}"):
        return None
    if until.shows_the_end_of_any(in_progress(history["changed_at"]), since):
        # These transactions may have written past the log; see ``SnapshotReader``.
        return None
    services: list[bytes] = []
    dependencies: list[bytes] = []

    async for page in connection.pages(statements.CHANGES_UNTIL, since.text, until.text):
        for source, key in page:
            if key is None:
                return None
            (services if source == SERVICES_TABLE else dependencies).append(key.bytes)
        if len(services) + len(dependencies) > at_most:
            return None
    return ChangedKeys(services, dependencies)


async def prune_forever(url: str, settings: FeedSettings, vitals: Vitals) -> None:
    """
    Prune every ``prune_interval`` until cancelled; the database lets one process prune at a time.

    Each pruning has its own connection, so that removing many rows does not delay the feed. A
    failure is logged; the next interval tries again, and meanwhile the log grows.
    """
    vitals.pruning()
    while True:
        await asyncio.sleep(settings.prune_interval.total_seconds())
        try:
            removed = await prune(url, settings, vitals)
        except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common base below Exception
            log.warning("pruning the change log failed", error=f"{type(error).__name__}: {error}")
        else:
            log.debug("pruned the change log", rows=removed)


async def prune(url: str, settings: FeedSettings, vitals: Vitals | None = None) -> int:
    """
    Remove rows that no reader needs, ``BATCH`` in a transaction; returns how many.

    Does nothing while another process prunes or a replica reads everything. ``vitals`` get the
    count, how many rows are left, and when any process last pruned.
    """
    session = Session(name="depgraph pruner", limit=settings.step_timeout, command_timeout=COMMAND_TIMEOUT)
    connection = await connect(url, session)
    try:
        removed = 0
        while True:
            count: int = await connection.fetchval(
                statements.PRUNE, settings.keep_log, settings.max_log_rows, BATCH
            )
            removed += count
            if count < BATCH:
                break
        if vitals is not None:
            left = await connection.fetchval(statements.LOG_ROWS)
            vitals.pruned(removed, left, await connection.fetchval(statements.UNPRUNED_FOR))
        return removed
    finally:
        await connection.close(timeout=settings.step_timeout.total_seconds())


async def revision_now(connection: Connection) -> Revision:
    """Return a revision that covers everything committed until now. Uses up a transaction id."""
    return Revision.of(await connection.fetchval(statements.REVISION))
