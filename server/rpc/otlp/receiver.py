"""
Dependencies that exporters of OTLP show, collected in memory and written every few seconds.

An export is acknowledged when its points are taken in, before they are written: what waits is lost
with the process. A dependency in use comes again with one of the next exports.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from depgraph.v1.dependency_service_pb2 import ReportDetails
from server.concurrency import CooperativeYield
from server.config import Limits, flag
from server.domain.caller import Caller, acting_as
from server.domain.errors import (
    InvalidInputError,
    NotReadyError,
    OverloadedError,
    RetryableError,
    WriteConflictError,
)
from server.domain.ports import DependencyStore
from server.domain.writes import WritingCall, writing_for
from server.formats.reading import Call
from server.rpc.methods import EXPORT
from server.rpc.otlp.decoding import Points, parts
from server.rpc.otlp.reports import OtlpRules, Report, details_of, reports
from server.rpc.otlp.series import NANOS, SeriesBook, Tally

log = structlog.get_logger(__name__)

# Observations of so long are written together.
COLLECTED = timedelta(seconds=2)
# A tally is of so long, and without observations the record of the reporter is written this often.
_RECORDED = timedelta(minutes=1)
# What may be written when the server stops.
_LAST_FLUSH = timedelta(seconds=1)
# A call may be two dependencies and name three services; a report may hold 10,000 of each.
_CALLS_A_REPORT = 3_000
_LIMIT = "otlp_series"
_LOST = "observations of OTLP can't be written"
_LATER = (RetryableError, WriteConflictError)


@dataclass(slots=True)
class _Account:
    """What the exporters of one principal have shown: calls with their latest times, and counts."""

    caller: Caller
    peer: str
    waiting: dict[Call, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    began: float = field(default_factory=time.monotonic)
    is_recorded: bool = True
    in_writing: int = 0
    _ended: Tally = field(default_factory=Tally)

    @property
    def is_old(self) -> bool:
        """Whether the tally is to be recorded, and a new one begun."""
        return time.monotonic() - self.began > _RECORDED.total_seconds()

    def record(self) -> ReportDetails:
        """Return the counts for the record of the reporter; begin anew with them now and then."""
        details = details_of(self.tally)
        self.is_recorded, self._ended = True, Tally()
        if self.is_old:
            self._ended, self.tally, self.began = self.tally, Tally(), time.monotonic()
        return details

    def take_record_back(self) -> None:
        """Count anew what ``record`` returned, since it could not be written."""
        self.tally.add(self._ended)
        self.is_recorded, self._ended = False, Tally()

    def wait(self, call: Call, observed: int) -> None:
        """Let a call wait to be written; the latest time counts."""
        self.waiting[call] = max(observed, self.waiting.get(call, 0))


class OtlpReceiver:
    """
    Takes points in, and writes the dependencies that they show; all on one event loop.

    ``rules`` None = they are not known: nothing is taken in, since services would get wrong names.
    """

    def __init__(self, store: DependencyStore, limits: Limits, rules: OtlpRules | None) -> None:
        self._store = store
        self._most = limits.max_otlp_series
        self._is_ready = rules is not None
        self._rules = rules or OtlpRules()
        self._granularity = int(self._rules.granularity.total_seconds() * NANOS)
        self._book = SeriesBook(self._rules.names, self._most, self._rules.granularity)
        self._accounts: dict[str, _Account] = {}
        # The times of observations that were written, in the order of writing.
        self._written: OrderedDict[Call, int] = OrderedDict()
        self._writing = asyncio.Lock()
        self._is_failing = False
        self.tally = Tally()
        """All points until now."""

    @property
    def series_kept(self) -> int:
        """Series whose last value is kept."""
        return len(self._book)

    @property
    def waiting(self) -> int:
        """Calls that are not written yet."""
        return sum(len(each.waiting) + each.in_writing for each in tuple(self._accounts.values()))

    async def take(self, request: bytes, caller: Caller, peer: str) -> Tally:
        """
        Take the points of an ``ExportMetricsServiceRequest`` in, and count them. O(points).

        Raises ``OverloadedError`` while too much waits, ``InvalidInputError`` at the place where
        the request is no such message: the points before it count.
        """
        if not self._is_ready:
            raise NotReadyError("the server's sources file, with rules for names, can't be used")
        if self.waiting >= self._most:
            raise OverloadedError(
                "as many dependencies wait to be written as may: try again, "
                f"or have the server's {flag(_LIMIT)} raised",
                limit=_LIMIT,
            )
        now, clock = time.monotonic(), time.time_ns()
        tally, yielding = Tally(), CooperativeYield()
        try:
            for part in parts(request):
                if isinstance(part, Points):
                    self._note(caller, peer, self._book.read(part, now, clock, tally), clock)
                elif part is not None:
                    tally.leave_out(part.reason, part.number, is_bad=part.is_bad)
                await yielding.checkpoint()
        finally:
            self.tally.add(tally)
            account = self._account(caller, peer)
            account.tally.add(tally)
            account.is_recorded = False
        return tally

    async def run(self) -> None:
        """Write what waits, again and again; runs until cancelled."""
        while True:
            await asyncio.sleep(COLLECTED.total_seconds())
            try:
                await self.flush()
            except _LATER as error:
                if not self._is_failing:
                    log.warning("observations of OTLP wait to be written", reason=error.message)
                self._is_failing = True
            else:
                self._is_failing = False

    async def close(self) -> None:
        """Write what waits, if that is possible at once."""
        with suppress(TimeoutError, *_LATER):
            async with asyncio.timeout(_LAST_FLUSH.total_seconds()):
                await self.flush()
        if lost := self.waiting:
            log.warning("observations of OTLP are lost: they could not be written in time", lost=lost)

    async def flush(self) -> None:
        """Write what waits; raises ``RetryableError`` or ``WriteConflictError``, and keeps it."""
        async with self._writing:
            for principal, account in tuple(self._accounts.items()):
                await self._write(account)
                if account.is_recorded and not account.waiting:
                    del self._accounts[principal]

    def _account(self, caller: Caller, peer: str) -> _Account:
        account = self._accounts.get(caller.principal)
        if account is None:
            account = self._accounts[caller.principal] = _Account(caller, peer)
        account.caller, account.peer = caller, peer
        return account

    def _note(self, caller: Caller, peer: str, calls: Iterable[tuple[Call, int]], clock: int) -> None:
        """Let calls wait unless they were written within the granularity."""
        account = self._account(caller, peer)
        for call, at in calls:
            # Clocks of exporters differ.
            observed = min(at, clock)
            if not self._is_fresh(call, observed):
                account.wait(call, observed)

    def _is_fresh(self, call: Call, observed: int) -> bool:
        written = self._written.get(call)
        return written is not None and observed < written + self._granularity

    async def _write(self, account: _Account) -> None:
        """Write the calls of an account that wait, else its record if that is due."""
        if not account.waiting and account.is_old and not account.is_recorded:
            await self._ingest(account, {})
        while account.waiting:
            count = min(len(account.waiting), _CALLS_A_REPORT)
            calls = dict(account.waiting.popitem() for _ in range(count))
            account.in_writing = count
            try:
                await self._ingest(account, calls)
            finally:
                for call, observed in calls.items():
                    if not self._is_fresh(call, observed):
                        account.wait(call, observed)
                account.in_writing = 0

    async def _ingest(self, account: _Account, calls: dict[Call, int]) -> None:
        """Write some calls; takes those out of ``calls`` that can never be written."""
        is_last = not account.waiting
        details = account.record() if is_last else ReportDetails(more=True)
        try:
            await self._send(account, calls, details)
        except _LATER:
            if is_last:
                account.take_record_back()
            raise

    async def _send(self, account: _Account, calls: dict[Call, int], details: ReportDetails) -> None:
        """Write some calls and how many points came; see ``_ingest``."""
        try:
            made = await asyncio.to_thread(reports, calls, details, self._rules, account.caller.principal)
        except Exception:
            # Such as times a day ahead: this clock was set back meanwhile.
            log.exception(_LOST, lost=len(calls))
            calls.clear()
            return
        for place, report in enumerate(made, 1):
            try:
                with _as_exporter(account, writes=bool(report.calls)):
                    await self._store.ingest(report.batch)
            except _LATER:
                raise
            except Exception as error:
                is_refused = isinstance(error, InvalidInputError)
                if is_refused and len(report.calls) > 1:
                    of_report = details if place == len(made) else ReportDetails(more=True)
                    await self._send_halves(account, calls, report, of_report)
                    continue
                log.exception(_LOST, lost=len(report.calls))
                for call in report.calls:
                    del calls[call]
                if is_refused:
                    # Not again at once: the exporter sends it all the time.
                    self._note_written(account, report)
            else:
                self._note_written(account, report)

    async def _send_halves(
        self, account: _Account, calls: dict[Call, int], report: Report, details: ReportDetails
    ) -> None:
        """Find the calls that are refused (an encoding lacks a letter), and write the others."""
        given = list(report.calls.items())
        middle = len(given) // 2
        for some, about in ((given[:middle], ReportDetails(more=True)), (given[middle:], details)):
            half = dict(some)
            await self._send(account, half, about)
            for call, _ in some:
                if call not in half:
                    del calls[call]

    def _note_written(self, account: _Account, report: Report) -> None:
        for call, observed in report.calls.items():
            self._written[call] = observed
            self._written.move_to_end(call)
            if (again := account.waiting.get(call)) is not None and self._is_fresh(call, again):
                del account.waiting[call]
        while len(self._written) > self._most:
            self._written.popitem(last=False)


@contextmanager
def _as_exporter(account: _Account, *, writes: bool) -> Iterator[None]:
    """Write in the name of the last caller; what changes nothing is in no account of writes."""
    with ExitStack() as stack:
        stack.enter_context(acting_as(account.caller))
        if writes:
            stack.enter_context(
                writing_for(WritingCall(EXPORT.removeprefix("/"), account.peer, is_periodic=True))
            )
        yield
