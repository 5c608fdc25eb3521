"""The loop that makes the alerts follow the graph while this process holds the lock."""

import asyncio
import random
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import structlog

from server.concurrency import SharedComponentSearch
from server.config import DetectionSettings
from server.detection.causes import GraphEventLog
from server.detection.component_view import View, compare_with_alerts
from server.detection.health import DetectionVitals
from server.detection.plan import Plan
from server.detection.tracked_alerts import TrackedAlerts
from server.domain.alerts import MOST_MEMBERS
from server.domain.detection import AlertLedger, CyclePath, KeptAlert, LedgerConflictError, UnseenCause
from server.domain.live_graph import FullyConsistent, LiveGraph, MinimizeLatency

if TYPE_CHECKING:
    from graphcore.components.components import Components

log = structlog.get_logger(__name__)

_TRIES = 4
# Standby processes read this note. Writing it also reveals a dead connection.
_NOTE_EVERY_SECONDS = 5.0
_JITTER = (0.75, 1.25)
_CONFLICT_PAUSE_SECONDS = 0.1
# Between two removals of surplus members, which a former version wrote.
_TRIM_PAUSE_SECONDS = 0.05


class Detector:
    """
    Follows one graph and writes through one ledger.

    ``events`` must observe the graph; ``searches`` is shared with the handlers. Alerts list the
    first ``most_members`` of each component, and the cost of a round does not grow with the others.
    Threads search for cycles under the read lock, so the event loop stays free.
    """

    def __init__(
        self,
        live: LiveGraph,
        events: GraphEventLog,
        settings: DetectionSettings,
        vitals: DetectionVitals,
        searches: SharedComponentSearch,
        *,
        most_members: int = MOST_MEMBERS,
    ) -> None:
        self._live = live
        self._events = events
        self._settings = settings
        self._vitals = vitals
        self._searches = searches
        self._most_members = most_members
        self._tracked = TrackedAlerts()
        # The alerts match these components, except those touched since; None = unknown.
        self._caught_up_with: Components | None = None
        self._comparing: asyncio.Task[View] | None = None
        # The run of the database whose alerts are tracked.
        self._read_from: str | None = None
        # Whether alerts of a former version may list more members than are kept.
        self._trims = True

    async def run(self, ledger: AlertLedger) -> None:
        """
        Keep the alerts until cancelled, or until an error; then another process takes over.

        Compares all alerts with a graph read after the lock was taken, then what each move of the
        graph has touched. Compares everything again at every ``reconcile_interval``, and when the
        graph comes from another database or a restored one.
        """
        if self._comparing is not None:
            # A thread of a former run, which was cancelled, may still read the graph.
            await asyncio.wait((self._comparing,))
        self._events.begin()
        self._tracked.clear()
        self._trims = True
        self._vitals.behind()
        try:
            while True:
                await self._reconcile(ledger)
                interval = self._settings.reconcile_interval.total_seconds()
                interval *= random.uniform(*_JITTER)  # noqa: S311 - jitter, no secret
                await self._follow(ledger, time.monotonic() + interval)
        except Exception as error:
            self._vitals.failed(error)
            raise
        finally:
            self._events.end()
            self._vitals.forget()

    async def _follow(self, ledger: AlertLedger, until: float) -> None:
        await ledger.note_caught_up()
        noted_at = time.monotonic()
        while (left := until - time.monotonic()) > 0:
            longest = _TRIM_PAUSE_SECONDS if self._trims else _NOTE_EVERY_SECONDS
            moved = await self._events.wait(timedelta(seconds=min(left, longest)))
            if moved:
                self._vitals.behind()
                # Another database, or a restored one, has other alerts.
                if self._feed_id() != self._read_from or not await self.catch_up(ledger):
                    return
            if self._trims:
                self._trims = await ledger.trim()
            if time.monotonic() - noted_at >= _NOTE_EVERY_SECONDS:
                await ledger.note_caught_up()
                noted_at = time.monotonic()

    async def _reconcile(self, ledger: AlertLedger) -> None:
        """Compare all alerts with the graph, and repair what differs."""
        for _ in range(_TRIES):
            await self._live.at(FullyConsistent(), None)
            self._read_from = self._feed_id()
            if await asyncio.to_thread(self._tracked.read, await ledger.tracked()):
                self._events.put_back([UnseenCause.COMPARED])
            self._caught_up_with = None
            if await self.catch_up(ledger):
                return
        raise LedgerConflictError("alerts kept being changed by other programs")

    async def catch_up(self, ledger: AlertLedger) -> bool:
        """
        Bring the alerts up to date with the graph as it is now.

        False = other programs have changed the alerts, so everything must be compared.
        """
        if self._is_untouched():
            self._events.take()
            self._vitals.caught_up(self._live.freshness().revision)
            return True
        # A thread can't be interrupted: hold the read lock until it is done, cancelled or not.
        self._comparing = asyncio.create_task(self._compare())
        view = await asyncio.shield(self._comparing)
        if not (view.alerts or view.components):
            self._tracked.settle(view.settled, (), ())
        elif not await self._write(ledger, view):
            self._events.put_back(view.steps)
            return False
        self._caught_up_with = view.kept
        self._vitals.caught_up(view.revision, view.cycle_count)
        return True

    def _is_untouched(self) -> bool:
        """Whether no component has changed since the alerts caught up. O(1)."""
        kept = self._live.now().confident_components
        if kept is self._caught_up_with:
            touched = kept.take_changed_labels()
            if touched is not None and not any(touched):
                return True
            self._caught_up_with = None
        return False

    async def _compare(self) -> View:
        """Compare the components with the alerts, in a thread."""
        while True:
            await self._searches.finish(self._live.now().confident_components)
            async with self._live.hold(await self._live.at(MinimizeLatency(), None)) as held:
                graph = held.graph
                kept = graph.confident_components
                if not kept.is_ready:
                    # The graph was replaced meanwhile.
                    continue
                if not kept.is_known:
                    # The graph is small.
                    kept.largest_first(2)
                steps, _ = self._events.take(), kept.take_changed_labels()
                return await asyncio.to_thread(
                    compare_with_alerts,
                    graph,
                    self._tracked,
                    steps,
                    revision=held.freshness.revision,
                    min_confidence=self._settings.min_confidence,
                    most_members=self._most_members,
                )

    async def _write(self, ledger: AlertLedger, view: View) -> bool:
        for _ in range(_TRIES):
            try:
                async with ledger.round():
                    alerts = await ledger.lock(view.alerts)
                    if _cycles(alerts) != _cycles(view.alerts):
                        return False
                    plan = await asyncio.to_thread(Plan, alerts, view.components, view.causes, view.recalled)
                    candidates = await ledger.candidates(plan.cycles, plan.newcomers)
                    changes = await asyncio.to_thread(plan.changes, candidates, uuid4)
                    await ledger.write(changes)
            except LedgerConflictError:
                # The next try reads the alerts again.
                await asyncio.sleep(random.uniform(0, _CONFLICT_PAUSE_SECONDS))  # noqa: S311 - jitter, no secret
                continue
            self._tracked.settle(view.settled, view.others, changes)
            if changes:
                self._vitals.wrote(len(changes))
                log.info("wrote alerts", alerts=len(changes))
            return True
        raise LedgerConflictError("another program kept writing the same alerts")

    def _feed_id(self) -> str | None:
        position = self._live.position
        return None if position is None else position.feed_id


def _cycles(alerts: Iterable[KeptAlert]) -> dict[UUID, CyclePath]:
    return {alert.id: alert.cycle_path for alert in alerts}
