"""Marks of the history, which times can be gone back to, and how long it is kept."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta

import structlog

from server.config import HistorySettings
from server.store import query
from server.store.single_runner import HISTORY_KEY, RunnerConnection, SingleRunner

log = structlog.get_logger(__name__)

# Entries removed in a transaction: a tenth of a second.
BATCH = 10_000
_STATEMENT_LIMIT = timedelta(seconds=30)
_PING_EVERY = 5.0
_MARKS_MISSED = 6
# A transaction that runs for longer than this, when a lineage begins, is worth a word.
_PATIENCE_SECONDS = 60.0
# Lineages that holes ended within an hour, from which on something is wrong.
_MANY = 3

_SWITCH, _MARK, _PRUNE = query("history_switch"), query("history_mark"), query("history_prune")
_ENDED, _PING = query("history_ended"), query("database_ping")


class Marker:
    """
    Marks the history every ``settings.mark_interval`` and prunes it, in one process at a time.

    That process switches history off and on as its own settings say. The counts grow from 0 when
    the process begins. ``marked_at`` is seconds since 1970, 0 = never.
    """

    def __init__(self, url: str, settings: HistorySettings) -> None:
        self._settings = settings
        self._runner = SingleRunner(
            url,
            "history",
            HISTORY_KEY,
            limit=_STATEMENT_LIMIT,
            undone="the history was not marked",
            tolerance=settings.mark_interval * _MARKS_MISSED,
        )
        self._deed = ""
        self._since = 0.0
        self._ended = 0
        self.marks = self.pruned = 0
        self.marked_at = 0.0

    @property
    def is_running(self) -> bool:
        """Whether this process marks."""
        return self._runner.is_running

    def problems(self) -> Iterator[str]:
        """Report what keeps the history from being marked, as far as this process knows."""
        yield from self._runner.problems()
        if not self.is_running:
            return
        if self._deed == "incomplete":
            yield "history triggers are missing, so no history is kept: `depgraph doctor --repair` makes them"
        if self._deed == "waiting" and time.monotonic() - self._since > _PATIENCE_SECONDS:
            yield (
                "the history begins anew, and waits for a transaction that has been running since before: "
                "pg_stat_activity shows it (backend_xid)"
            )
        if self._ended >= _MANY:
            yield (
                f"changes were not noted in the history {self._ended} times within an hour, and former times "
                "were lost each time: the log of PostgreSQL says why"
            )

    async def run(self) -> None:
        """Mark until cancelled."""
        await self._runner.run_forever(self._mark_forever)

    async def _mark_forever(self, connection: RunnerConnection) -> None:
        keeps = bool(self._settings.keep)
        await connection.execute(_SWITCH, keeps)
        while True:
            if keeps:
                await self._mark(connection)
            more = await self._prune(connection)
            await self._runner.did(connection)
            await self._pause(connection, timedelta(0) if more else self._settings.mark_interval)

    async def _mark(self, connection: RunnerConnection) -> None:
        deed: str = await connection.fetchval(_MARK)
        if deed != self._deed:
            self._deed, self._since = deed, time.monotonic()
        if deed == "marked":
            self.marks += 1
            self.marked_at = time.time()
        ended: int = await connection.fetchval(_ENDED)
        if ended > self._ended:
            log.warning("a change is not in the history, which begins anew: the log of PostgreSQL says why")
        self._ended = ended

    async def _prune(self, connection: RunnerConnection) -> bool:
        """Remove a batch of what is too old; returns whether there may be more."""
        removed: int = await connection.fetchval(_PRUNE, self._settings.keep, BATCH)
        self.pruned += removed
        if removed:
            log.debug("history pruned", entries=removed)
        return removed >= BATCH

    async def _pause(self, connection: RunnerConnection, pause: timedelta) -> None:
        """Wait; a dead connection, whose lock is gone, raises meanwhile."""
        left = pause.total_seconds()
        until = time.monotonic() + left
        while left > 0:
            await asyncio.sleep(min(left, _PING_EVERY))
            await connection.fetchval(_PING)
            left = until - time.monotonic()
