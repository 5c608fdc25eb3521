"""Pulls of the server's own sources: of all processes on a database, one makes them."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import structlog

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from server.config import Limits, Settings
from server.domain.caller import Caller, acting_as
from server.domain.errors import DomainError
from server.domain.ports import DependencyStore
from server.domain.reports import OBSERVATION_GRANULARITY
from server.domain.writes import WritingCall, writing_for
from server.rpc.dependency.reports import ingest_batch, ingested
from server.rpc.otlp.reports import OtlpRules
from server.rpc.reading import convert
from server.sources.config import SourcesFileError, load_receiver, load_sources
from server.sources.schedule import Pulled, Schedule, SendError
from server.sources.source import Source
from server.store.single_runner import SOURCES_KEY, RunnerConnection, SingleRunner

log = structlog.get_logger(__name__)

TOLERANCE = timedelta(minutes=1)
_CALL = WritingCall("depgraph.v1.DependencyService/IngestGraph", "sources", is_periodic=True)
# A statement on the connection that holds the lock shows when it is lost.
_DID_EVERY_SECONDS = 2.0


def receiver_rules(settings: Settings) -> OtlpRules | None:
    """Return the rules for what exporters of OTLP send; None = the sources file can't be used."""
    granularity = settings.staleness.granularity("otel_service_graph", OBSERVATION_GRANULARITY)
    try:
        source = None if settings.sources is None else load_receiver(settings.sources)
    except SourcesFileError:
        # ``Pulling`` reports it.
        return None
    if source is None:
        return OtlpRules(granularity=granularity)
    return OtlpRules(
        reporter=source.name, names=source.names, confidence=source.confidence, granularity=granularity
    )


class Pulling:
    """
    Waits for the lock, and pulls the sources of a file while it holds the lock.

    Each source has its own principal in the account of writes: ``source NAME``.
    """

    def __init__(self, url: str, store: DependencyStore, file: Path | None, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._file = file
        self._errors: dict[str, str] = {}
        self._unusable = ""
        self._runner = SingleRunner(
            url, "sources", SOURCES_KEY, undone="sources were not pulled", tolerance=TOLERANCE
        )

    async def run(self) -> None:
        """Take part until cancelled; returns at once where there is no file, or none of use."""
        if self._file is None:
            return
        try:
            self._sources = load_sources(self._file)
        except SourcesFileError as error:
            self._unusable = f"sources are not pulled by this process: {error}"
            log.error("sources are not pulled", cause=str(error))  # noqa: TRY400 - no traceback for people
            return
        if self._sources:
            await self._runner.run_forever(self._pull)

    @property
    def is_running(self) -> bool:
        """Whether this process pulls."""
        return self._runner.is_running

    def problems(self) -> Iterator[str]:
        """Report why no process pulls; what fails at a source, its reporter says."""
        if self._unusable:
            yield self._unusable
        yield from self._runner.problems()

    async def _pull(self, connection: RunnerConnection) -> None:
        # Imported late: most servers have no sources, and HTTP takes a tenth of a second.
        from server.sources.apart import gather_apart  # noqa: PLC0415

        schedule = Schedule(gather_apart, self._send, self._report)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._say_so(connection))
                group.create_task(schedule.forever(self._sources))
        except ExceptionGroup as failures:
            # The runner knows what is the driver's, and what a person should read of it.
            raise failures.exceptions[0] from None

    async def _say_so(self, connection: RunnerConnection) -> NoReturn:
        while True:
            await self._runner.did(connection)
            await asyncio.sleep(_DID_EVERY_SECONDS)

    async def _send(self, source: Source, report: IngestGraphRequest) -> IngestGraphResponse:
        caller = Caller(
            f"source {source.name}", frozenset(["ingester"]), frozenset([source.discovery_source])
        )
        count = len(report.nodes) + len(report.edges)
        try:
            batch = await convert(count, ingest_batch, report, self._limits, now=datetime.now(UTC))
            with acting_as(caller), writing_for(_CALL):
                return ingested(await self._store.ingest(batch))
        except DomainError as error:
            raise SendError(str(error)) from error

    def _report(self, pulled: Pulled) -> None:
        """Log what is new: every minute would be too often."""
        name = pulled.source.name
        before = self._errors.get(name)
        self._errors[name] = pulled.error
        if pulled.error:
            level = log.debug if pulled.error == before else log.warning
            level("a source could not be pulled", source=name, cause=pulled.error)
            return
        level = log.debug if before == "" else log.info
        level(
            "pulled a source",
            source=name,
            elements=pulled.element_count,
            not_used=pulled.skipped_count,
            edges_created=pulled.edges_created,
            edges_updated=pulled.edges_updated,
        )
