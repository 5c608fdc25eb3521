"""When each source is pulled, and what its reporter says then."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse, ReportDetails
from depgraph.v1.types_pb2 import DiscoverySource
from server.domain.reports import OBSERVATION_GRANULARITY
from server.formats.native import MAX_ITEMS, batches
from server.formats.reading import Reading
from server.sources.source import PullError, Source

AT_ONCE = 4
"""Pulls that run at a time: each holds whole answers in memory."""

# Never later than the interval that the reporter names.
_JITTER = (0.9, 1.0)
_SHORTEST_PAUSE = 1.0
_MAX_ERROR_LENGTH = 1_000


class Gathered(NamedTuple):
    """What a source holds: how many elements, how many of them are skipped, and the reports."""

    element_count: int
    skipped_count: int
    reports: Iterable[IngestGraphRequest]


Gather: TypeAlias = Callable[[Source], Awaitable[Gathered]]
"""Raises ``PullError``."""
Send: TypeAlias = Callable[[Source, IngestGraphRequest], Awaitable[IngestGraphResponse]]
"""Writes a report, or a part of one; raises ``SendError``."""


class SendError(Exception):
    """A report could not be written; the message says why."""


@dataclass(slots=True, kw_only=True)
class Pulled:
    """What became of one pull; ``error`` says why it failed, empty = it did not."""

    source: Source
    element_count: int = 0
    skipped_count: int = 0
    services_created: int = 0
    edges_created: int = 0
    edges_updated: int = 0
    edges_unchanged: int = 0
    error: str = ""

    def add(self, answer: IngestGraphResponse) -> None:
        """Add what a part of the report changed."""
        self.services_created += answer.services_created
        self.edges_created += answer.edges_created
        self.edges_updated += answer.edges_updated
        self.edges_unchanged += answer.edges_unchanged


class Schedule:
    """Pulls sources and sends what they hold; a pull that fails sends nothing but why."""

    def __init__(self, gather: Gather, send: Send, report: Callable[[Pulled], None]) -> None:
        self._gather = gather
        self._send = send
        self._report = report
        self._free = asyncio.Semaphore(AT_ONCE)

    async def once(self, source: Source) -> Pulled:
        """Pull a source and send what it holds, or why it failed; ``report`` gets the outcome."""
        async with self._free:
            pulled = await self._pull_and_send(source)
        self._report(pulled)
        return pulled

    async def all_once(self, sources: Iterable[Source]) -> list[Pulled]:
        """Pull each source once, several at a time."""
        return await asyncio.gather(*map(self.once, sources))

    async def forever(self, sources: Iterable[Source]) -> NoReturn:
        """Pull each source at once, and then about every ``every``, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(self._keep_pulling(source))
        raise AssertionError("no source is ever done")

    async def _keep_pulling(self, source: Source) -> NoReturn:
        every = source.every.total_seconds()
        while True:
            began = time.monotonic()
            await self.once(source)
            due = began + every * random.uniform(*_JITTER)  # noqa: S311 - jitter, no secret
            await asyncio.sleep(max(_SHORTEST_PAUSE, due - time.monotonic()))

    async def _pull_and_send(self, source: Source) -> Pulled:
        pulled = Pulled(source=source)
        try:
            pulled.element_count, pulled.skipped_count, reports = await self._gather(source)
            for report in reports:
                pulled.add(await self._send(source, report))
        except (PullError, SendError) as error:
            pulled.error = str(error)
        except Exception as error:
            # One source must not end the others.
            log = _log()
            log.exception("a source could not be pulled", source=source.name)
            pulled.error = f"unexpected {type(error).__name__}: {error}"
        if pulled.error:
            await self._note_failure(source, pulled.error)
        return pulled

    async def _note_failure(self, source: Source, error: str) -> None:
        try:
            await self._send(source, failure_report(source, error))
        except SendError as unnoted:
            _log().warning(
                "the failure of a source could not be recorded", source=source.name, cause=str(unnoted)
            )


def gathered(source: Source, reading: Reading, at: Timestamp, max_items: int = MAX_ITEMS) -> Gathered:
    """Return what was read as reports of at most ``max_items`` items, see ``reports_of``."""
    skipped_count = sum(each.count for each in reading.skipped)
    return Gathered(reading.element_count, skipped_count, reports_of(source, reading, at, max_items))


def reports_of(
    source: Source, reading: Reading, at: Timestamp, max_items: int = MAX_ITEMS
) -> Iterator[IngestGraphRequest]:
    """
    Cut what was read into the reports of a source's reporter, observed at a time. O(size).

    Changes the reading's report.
    """
    whole = reading.report
    whole.discovery_source = discovery_source(source)
    whole.observe_time.CopyFrom(at)
    if source.confidence is not None:
        for edge in whole.edges:
            if not edge.HasField("confidence_score"):
                edge.confidence_score = source.confidence
    whole.reporter = source.name
    whole.observation_granularity.FromTimedelta(OBSERVATION_GRANULARITY)
    whole.details.CopyFrom(reading.details(_interval(source)))
    yield from batches(whole, max_items=max_items)


def failure_report(source: Source, error: str) -> IngestGraphRequest:
    """Make the report that says why there is none."""
    return IngestGraphRequest(
        discovery_source=discovery_source(source),
        reporter=source.name,
        details=ReportDetails(interval=_interval(source), error=error[:_MAX_ERROR_LENGTH]),
    )


def discovery_source(source: Source) -> DiscoverySource.ValueType:
    """Return the discovery source as the contract has it."""
    return DiscoverySource.Value(f"DISCOVERY_SOURCE_{source.discovery_source.upper()}")


def _interval(source: Source) -> Duration:
    interval = Duration()
    interval.FromTimedelta(source.every)
    return interval


def _log() -> Any:
    # Not at the top: the help of all commands loads this module, and no server libraries.
    import structlog  # noqa: PLC0415

    return structlog.get_logger(__name__)
