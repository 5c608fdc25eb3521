"""Keeps the change log short."""

import asyncio
from datetime import timedelta

import structlog

from server.config import FeedSettings
from server.feed import statements
from server.feed.vitals import Vitals
from server.postgres import Session, connect

log = structlog.get_logger(__name__)

BATCH = 20_000
COMMAND_TIMEOUT = timedelta(minutes=1)


async def prune_forever(url: str, settings: FeedSettings, vitals: Vitals) -> None:
    """
    Prune every ``prune_interval`` until cancelled; of several replicas the database lets one at a time.

    On a connection of its own, opened for the purpose: removing many rows must not hold up the feed. A failure costs nothing
    but a longer log, so it is logged and tried again at the next turn.
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
    Remove what no reader needs any more, in transactions of at most ``BATCH`` rows; returns how many rows.

    ``vitals`` are told of it, of how many rows are left, and of when any process last pruned: where another holds the lock, or a reader
    reads everything, this one does nothing.
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
