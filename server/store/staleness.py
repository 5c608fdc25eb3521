"""Staleness: what is not observed any more becomes stale, loses confidence, and goes away."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from server.config import StalenessSettings
from server.domain.dependencies import DISCOVERY_SOURCES
from server.store import query
from server.store.removal import BATCH, remove_unobserved
from server.store.single_runner import SWEEPER_KEY, RunnerConnection, SingleRunner

log = structlog.get_logger(__name__)

STEP = 0.01
"""The least change of a confidence that is written: at most a hundred writes a dependency."""

# Rows found at a time: looking costs a pass over the old ones, so not every batch does it.
_LOOK = 50_000
# A confidence of 1 loses a step after 0.0145 half-lives, any other later.
_FIRST_STEP = 0.0144
_JITTER = (0.9, 1.1)
_STATEMENT_LIMIT = timedelta(seconds=30)
_PING_EVERY = 5.0
_SWEEPS_MISSED = 3
_TOLERANCE = timedelta(minutes=1)

_SESSION = query("staleness_session")
_CLOCK = query("staleness_clock")
_PING = query("database_ping")
_UNHEARD = query("staleness_unheard")
_DUE_STALE, _MARK = query("staleness_due_stale"), query("staleness_mark")
_DUE_DECAY, _DECAY = query("staleness_due_decay"), query("staleness_decay")
_DUE_RESTORE, _RESTORE = query("staleness_due_restore"), query("staleness_restore")


@dataclass(frozen=True, slots=True)
class Swept:
    """
    How many dependencies a sweep changed.

    ``marked`` became stale, ``decayed`` lost confidence, ``restored`` got the reported confidence
    back because they no longer decay, ``removed`` are gone, as are ``removed_services``.
    """

    marked: int
    decayed: int
    restored: int
    removed: int = 0
    removed_services: int = 0

    def __bool__(self) -> bool:
        return any((self.marked, self.decayed, self.restored, self.removed, self.removed_services))


async def sweep(
    connection: RunnerConnection,
    settings: StalenessSettings,
    at: datetime | None = None,
    *,
    keeps_writes: bool = True,
) -> Swept:
    """
    Bring all dependencies to what the settings say of them at a time; None = now.

    Removals are in the account of writes, unless ``keeps_writes`` is False.

    Writes only rows that differ, in transactions of ``BATCH`` rows, and leaves rows that another
    session writes to the next sweep. While a reporter fails, time stands still for its discovery
    source: what could not be asked for is not taken for gone. Two sweeps at once do no harm.
    O(dependencies observed too long ago) to look, whatever is written.
    """
    now: datetime = at or await connection.fetchval(_CLOCK)
    rows = await connection.fetch(_UNHEARD, now)
    unheard: dict[str, datetime] = {row["discovery_source"]: row["heard_at"] for row in rows}
    marked = decayed = 0
    for source, age in settings.stale_after.items():
        if age is not None:
            old = (source, min(now, unheard.get(source, now)) - age)
            marked += await _write_all(connection, (_DUE_STALE, *old), (_MARK, *old))
    for source, half_life in settings.half_life.items():
        if half_life is not None:
            heard_at = min(now, unheard.get(source, now))
            chosen = (source, heard_at, half_life)
            due = (_DUE_DECAY, *chosen, heard_at - half_life * _FIRST_STEP, STEP)
            decayed += await _write_all(connection, due, (_DECAY, *chosen, STEP))
    whole = [source for source in DISCOVERY_SOURCES if settings.half_life.get(source) is None]
    restored = await _write_all(connection, (_DUE_RESTORE, whole), (_RESTORE, whole))
    removed = await remove_unobserved(connection, settings.remove_after, now, keeps_writes=keeps_writes)
    return Swept(marked, decayed, restored, *removed)


async def _write_all(connection: RunnerConnection, due: Sequence[Any], write: Sequence[Any]) -> int:
    """Write what is found until nothing is left, or others lock the rest; returns how many rows."""
    find, *criteria = due
    statement, *values = write
    total = 0
    while True:
        keys = [row["id"] for row in await connection.fetch(find, *criteria, _LOOK)]
        written = 0
        for start in range(0, len(keys), BATCH):
            written += await connection.fetchval(statement, keys[start : start + BATCH], *values)
        total += written
        if len(keys) < _LOOK or not written:
            return total


class Sweeper:
    """
    Sweeps every ``settings.sweep_interval``, give or take a tenth, in one process at a time.

    The counts grow from 0 when the process begins. ``swept_at`` is seconds since 1970, 0 = never.
    """

    def __init__(self, url: str, settings: StalenessSettings, *, keeps_writes: bool = True) -> None:
        self._settings = settings
        self._keeps_writes = keeps_writes
        self._runner = SingleRunner(
            url,
            "sweeper",
            SWEEPER_KEY,
            limit=_STATEMENT_LIMIT,
            undone="dependencies that are not observed any more were not looked after",
            tolerance=settings.sweep_interval * _SWEEPS_MISSED + _TOLERANCE,
        )
        self.sweeps = self.marked = self.decayed = self.restored = 0
        self.removed = self.removed_services = 0
        self.swept_at = self.took_seconds = 0.0

    @property
    def is_running(self) -> bool:
        """Whether this process sweeps."""
        return self._runner.is_running

    def problems(self) -> Iterator[str]:
        """Report when this process waits for the lock and no process sweeps."""
        return self._runner.problems()

    async def run(self) -> None:
        """Sweep until cancelled; returns at once where the settings ask for nothing."""
        if self._settings.is_active:
            await self._runner.run_forever(self._sweep_forever)

    async def _sweep_forever(self, connection: RunnerConnection) -> None:
        await connection.execute(_SESSION)
        while True:
            await self._sweep(connection)
            await self._runner.did(connection)
            await self._pause(connection)

    async def _sweep(self, connection: RunnerConnection) -> None:
        began = time.monotonic()
        swept = await sweep(connection, self._settings, keeps_writes=self._keeps_writes)
        self.took_seconds = time.monotonic() - began
        self.swept_at = time.time()
        self.sweeps += 1
        self.marked += swept.marked
        self.decayed += swept.decayed
        self.restored += swept.restored
        self.removed += swept.removed
        self.removed_services += swept.removed_services
        if swept:
            log.info(
                "swept",
                marked_stale=swept.marked,
                decayed=swept.decayed,
                restored=swept.restored,
                removed=swept.removed,
                removed_services=swept.removed_services,
                seconds=round(self.took_seconds, 3),
            )

    async def _pause(self, connection: RunnerConnection) -> None:
        """Wait for the next sweep; a dead connection, whose lock is gone, raises meanwhile."""
        interval = self._settings.sweep_interval.total_seconds()
        left = interval * random.uniform(*_JITTER)  # noqa: S311 - jitter, no secret
        until = time.monotonic() + left
        while left > 0:
            await asyncio.sleep(min(left, _PING_EVERY))
            await connection.fetchval(_PING)
            left = until - time.monotonic()
