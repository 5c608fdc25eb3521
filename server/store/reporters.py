"""Who reports: noted with each report, and read every few seconds for what a process says of it."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import asyncpg
import structlog

from server.domain.reports import IngestBatch, IngestResult, Reporter
from server.store import query
from server.store.database import Database
from server.store.pool import Connection

log = structlog.get_logger(__name__)

MOST_REPORTERS = 1_000
MOST_TEXT = 500_000
"""
Bytes of errors and reasons that all reporters are listed with.

So an answer with all of them, and problems that repeat some, fits the 4 MiB that clients take.
"""
FORGET_AFTER = timedelta(days=30)
"""A reporter is forgotten when its last attempt is so long ago."""

_SUCCEEDED = query("reporter_succeeded")
_FAILED = query("reporter_failed")
_LIST = query("reporters_list")
_INTERVAL_SECONDS = 5.0
_JITTER = (0.8, 1.2)


async def note_report(connection: Connection, batch: IngestBatch, result: IngestResult) -> None:
    """Note, in the transaction that took a report in, how it went."""
    details = batch.details
    await connection.execute(
        _SUCCEEDED,
        *(batch.reporter, batch.discovery_source, batch.observed_at, details.interval, not details.more),
        *(details.element_count, json.dumps(dict(details.skipped)), result.services_created),
        *(result.edges_created, result.edges_updated, result.edges_unchanged, result.observations_renewed),
        FORGET_AFTER,
    )


async def note_failure(connection: Connection, batch: IngestBatch) -> None:
    """Note why a reporter has no report."""
    details = batch.details
    await connection.execute(_FAILED, batch.reporter, batch.discovery_source, details.error, details.interval)


async def list_reporters(database: Database) -> tuple[Reporter, ...]:
    """See ``DependencyStore.reporters``."""
    return tuple(map(_reporter, await database.fetch(_LIST, MOST_REPORTERS, MOST_TEXT)))


def _reporter(record: asyncpg.Record) -> Reporter:
    values = dict(record)
    interval, skipped = values.pop("report_interval"), json.loads(values.pop("skipped"))
    return Reporter(**values, interval=interval, skipped=skipped)


class KnownReporters:
    """
    The reporters as this process last read them, every few seconds.

    So ``GetStatus`` and metrics do without the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: tuple[Reporter, ...] = ()
        self._read_at = time.monotonic()

    async def run(self) -> None:
        """Read until cancelled; while the database is away, what was read before stays."""
        while True:
            try:
                await self.read()
            except Exception as error:  # noqa: BLE001 - asyncpg's errors have no common base below Exception
                log.debug("the reporters could not be read", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_INTERVAL_SECONDS * random.uniform(*_JITTER))  # noqa: S311 - jitter, no secret

    async def read(self) -> None:
        """Read them now."""
        self._found, self._read_at = await list_reporters(self._database), time.monotonic()

    def now(self) -> tuple[Reporter, ...]:
        """Return them with their ages as of now. O(reporters)."""
        since = timedelta(seconds=time.monotonic() - self._read_at)
        return tuple(
            each if each.success_age is None else replace(each, success_age=each.success_age + since)
            for each in self._found
        )

    def problems(self) -> Iterator[str]:
        """Describe for people the reporters that are silent."""
        for each in self.now():
            if each.is_silent:
                yield _silence(each)


def _silence(reporter: Reporter) -> str:
    age, why = reporter.success_age, f": {reporter.last_error}" if reporter.last_error else ""
    done = "has never reported" if age is None else f"has not reported for {_whole_seconds(age)}"
    interval = _whole_seconds(reporter.interval or timedelta())
    return f"the reporter {reporter} {done}, and means to report every {interval}{why}"


def _whole_seconds(length: timedelta) -> str:
    return str(length - timedelta(microseconds=length.microseconds))
