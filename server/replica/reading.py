"""
What handlers and detection read: the graph, its freshness, and waiting for a fresher one.

All of it runs on one event loop, so nothing here locks threads.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from graphcore import DependencyGraph
from server.domain.changes import FeedPosition
from server.domain.errors import (
    HistoryUnavailableError,
    NotReadyError,
    ReplicaBehindError,
    RevisionUnknownError,
)
from server.domain.live_graph import (
    AsOf,
    AtLeastAsFresh,
    Consistency,
    FeedState,
    Freshness,
    FullyConsistent,
    MinimizeLatency,
    Reading,
    ReplicaStatus,
)
from server.domain.revision import Revision, Snapshot

if TYPE_CHECKING:
    from server.domain.history import PastGraphs

_LONGEST_OF_ALL = timedelta(minutes=1)


class ReadableGraph:
    """
    The graph in memory and its position, for readers; implements ``LiveGraph``.

    ``ask`` is called when a reader needs the feed to look at the database now. ``behind_because``
    returns why the feed can't follow, or "". ``past`` answers for former times; None = no history.
    ``cycle_confidence`` is that of ``DependencyGraph``.
    """

    def __init__(self, longest_wait: timedelta, *, cycle_confidence: float = 0.0) -> None:
        self.ask: Callable[[], None] = lambda: None
        self.behind_because: Callable[[], str] = str
        self.past: PastGraphs | None = None
        self._longest_wait = longest_wait
        self._cycle_confidence = cycle_confidence
        self._graph = DependencyGraph(cycle_confidence=cycle_confidence)
        self._position: FeedPosition | None = None
        # The token of the position, made once: every answer holds it, and making it costs much.
        self._token = ""
        self._state = FeedState.WARMING
        self._tickets = SnapshotTickets()
        self._waiters = Waiters()
        self._read_lock = ReadLock()
        self._warm_duration = timedelta()
        self._warm_count = 0

    @property
    def graph(self) -> DependencyGraph:
        """The graph as it is now; it may move on at any await."""
        return self._graph

    @property
    def position(self) -> FeedPosition | None:
        """The snapshot that memory equals; None before the first load."""
        return self._position

    @property
    def is_warm(self) -> bool:
        """Whether the graph has been loaded."""
        return self._position is not None

    async def warmed(self) -> None:
        """Wait for the first load, however long it takes."""
        while not await self._waiters.until(lambda: self.is_warm, timedelta(hours=1)):
            pass

    def now(self) -> DependencyGraph:
        """See ``LiveGraph.now``."""
        if self._position is None:
            because = self.behind_because() or (
                "it is still being read from the database, try again in a moment"
            )
            raise NotReadyError(f"the graph is not in memory yet: {because}")
        return self._graph

    def holds(self, revision: Revision) -> bool:
        """See ``LiveGraph.holds``."""
        position = self._position
        return (
            position is not None
            and position.feed_id == revision.feed_id
            and revision.held_by(position.snapshot)
        )

    def read_lock(self) -> AbstractAsyncContextManager[None]:
        """Keep the live graph from changing while the context lasts; for computations only."""
        return self._read_lock.held()

    @asynccontextmanager
    async def hold(self, reading: Reading) -> AsyncIterator[Reading]:
        """See ``LiveGraph.hold``."""
        if reading.is_past:
            with reading.keeps():
                yield reading
        else:
            async with self._read_lock.held():
                yield self.reading()

    def reading(self) -> Reading:
        """Return the live graph as it is; raises ``NotReadyError`` before the first load."""
        return Reading(self.now(), self.freshness())

    async def at(self, wanted: Consistency, within: timedelta | None) -> Reading:
        """See ``LiveGraph.at``."""
        self.now()
        # A waiting call takes one of the places for running calls.
        bound = self._longest_wait if within is None else min(within, _LONGEST_OF_ALL)
        match wanted:
            case MinimizeLatency():
                pass
            case FullyConsistent():
                await self._read_begun_now(bound)
            case AtLeastAsFresh(revision):
                await self._hold(revision, bound)
            case AsOf(time):
                if self.past is None:
                    raise HistoryUnavailableError("this server keeps no history")
                return await self.past.at(time, bound)
            case _:
                assert_never(wanted)
        return self.reading()

    async def covers(self, snapshot: Snapshot) -> None:
        """Wait until memory shows all that a snapshot of the same database saw."""
        await self._until(
            lambda: self._position is not None and self._position.snapshot.covers(snapshot), _LONGEST_OF_ALL
        )

    async def _read_begun_now(self, bound: timedelta) -> None:
        # A step under way may have taken its snapshot before this request: only the next counts.
        ticket = self._tickets.next
        await self._until(lambda: self._tickets.is_done(ticket), bound)

    async def _hold(self, revision: Revision, bound: timedelta) -> None:
        began = time.monotonic()
        if not self._is_ours(revision):
            # The writer may be ahead of us over a failover: look at the database before saying no.
            await self._read_begun_now(bound)
            if not self._is_ours(revision):
                raise RevisionUnknownError(
                    "the revision comes from another database, or from this one before a crash or failover: "
                    "read without it, or fully consistent"
                )
        left = bound - timedelta(seconds=time.monotonic() - began)
        await self._until(lambda: self.holds(revision), left)

    def _is_ours(self, revision: Revision) -> bool:
        return self._position is not None and self._position.feed_id == revision.feed_id

    async def _until(self, condition: Callable[[], bool], bound: timedelta) -> None:
        if condition():
            return
        self.ask()
        if not await self._waiters.until(condition, bound):
            lag = self.freshness().lag
            milliseconds = round(lag.total_seconds() * 1000)
            because = self.behind_because()
            raise ReplicaBehindError(
                f"this replica did not reach the asked-for freshness within {bound.total_seconds():.3f} s; "
                f"it last equalled the database {milliseconds} ms ago{because and f'; {because}'}",
                lag_ms=str(milliseconds),
            )

    def freshness(self) -> Freshness:
        """See ``LiveGraph.freshness``."""
        return Freshness(self._token, self._tickets.lag)

    def status(self) -> ReplicaStatus:
        """See ``LiveGraph.status``."""
        ingestions = self._position.ingestions if self._position else ()
        return ReplicaStatus(self._state, self._warm_duration, self._warm_count, ingestions)


class ReadLock:
    """
    Readers hold it over several awaits; the writer waits until they are done.

    A waiting writer goes before later readers, so neither side starves. A reader must not wait for
    the writer: that would be a deadlock.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = asyncio.Event()
        self._open.set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the writer up while the context lasts; entering waits for a writer that waits."""
        # In a loop: another writer may wait by the time this task runs again.
        while not self._open.is_set():
            await self._open.wait()
        self._readers += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._idle.set()

    async def wait_for_readers(self) -> None:
        """Wait until no reader holds the lock. The writer writes before its next await."""
        self._open.clear()
        try:
            while self._readers:
                await self._idle.wait()
        finally:
            self._open.set()


class Waiters:
    """Tasks that wait for a condition on the graph, checked whenever the graph has moved on."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    async def until(self, condition: Callable[[], bool], within: timedelta) -> bool:
        """Wait for a condition; False = time is up. It still holds when the waiter resumes."""
        if condition():
            return True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within.total_seconds()
        while (left := deadline - loop.time()) > 0:
            met = loop.create_future()
            self._waiting[met] = condition
            try:
                await asyncio.wait([met], timeout=left)
            finally:
                self._waiting.pop(met, None)
            # Memory may have been swapped for another database's since the wake-up: check again.
            if condition():
                return True
        return False

    def notify(self) -> None:
        """Wake every waiter whose condition holds now. O(waiters)."""
        for future, condition in tuple(self._waiting.items()):
            if not future.done() and condition():
                future.set_result(None)


class SnapshotTickets:
    """
    Numbers the snapshots of the database that memory is brought to.

    A reader that takes ``next`` and waits until it ``is_done`` gets a snapshot after its request.
    """

    def __init__(self) -> None:
        self._begun = self._done = 0
        self._began_at = self._confirmed_at = 0.0

    def begin(self) -> None:
        """Note that a snapshot is about to be taken."""
        self._begun += 1
        self._began_at = time.monotonic()

    def finish(self) -> None:
        """Note that memory has reached the snapshot that began last."""
        self._done = self._begun
        self._confirmed_at = self._began_at

    @property
    def next(self) -> int:
        """The ticket of the next snapshot."""
        return self._begun + 1

    def is_done(self, ticket: int) -> bool:
        """Whether memory has reached the snapshot of this ticket, or a later one."""
        return self._done >= ticket

    @property
    def lag(self) -> timedelta:
        """Time since memory was last known to equal the database."""
        return timedelta(seconds=time.monotonic() - self._confirmed_at)
