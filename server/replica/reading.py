"""What handlers and detection read: the graph, its freshness, and waiting for a fresher one."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import assert_never

from graphcore import DependencyGraph
from server.domain.changes import FeedPosition
from server.domain.consistency import (
    AtLeastAsFresh,
    Consistency,
    FeedState,
    Freshness,
    FullyConsistent,
    MinimizeLatency,
    ReplicaStatus,
)
from server.domain.errors import NotReadyError, ReplicaBehindError, RevisionUnknownError
from server.domain.revision import Revision
from server.replica.synchronization import ReadLock, SnapshotTickets, Waiters

_LONGEST_OF_ALL = timedelta(minutes=1)


class ReadableGraph:
    """
    The graph in memory and its position, for readers; ``Replica`` moves it on.

    ``ask`` is called when a reader needs the feed to look at the database now. ``behind_because``
    returns why the feed can't follow at the moment, or an empty text. ``cycle_confidence`` is that
    of ``DependencyGraph``.
    """

    def __init__(
        self, longest_wait: timedelta, ask: Callable[[], None], *, cycle_confidence: float = 0.0
    ) -> None:
        self.ask = ask
        self.behind_because: Callable[[], str] = str
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
        """Return the graph as it is; raises ``NotReadyError`` before the first load."""
        if self._position is None:
            because = self.behind_because() or (
                "it is still being read from the database, try again in a moment"
            )
            raise NotReadyError(f"the graph is not in memory yet: {because}")
        return self._graph

    def holds(self, revision: Revision) -> bool:
        """Whether memory has reached a revision."""
        position = self._position
        return (
            position is not None
            and position.feed_id == revision.feed_id
            and revision.held_by(position.snapshot)
        )

    def read_lock(self) -> AbstractAsyncContextManager[None]:
        """Keep the graph from moving while the context lasts; for computations only."""
        return self._read_lock.held()

    async def at(self, wanted: Consistency, within: timedelta | None) -> DependencyGraph:
        """
        Return the graph once it is as fresh as wanted.

        Raises ``NotReadyError`` before the first load, ``ReplicaBehindError`` when ``within``
        passes first (None = the replica's own bound; never more than a minute),
        ``RevisionUnknownError`` for a revision of another database.
        """
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
            case _:
                assert_never(wanted)
        return self.now()

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
        """Return which snapshot memory holds now, and how long ago that was confirmed."""
        return Freshness(self._token, self._tickets.lag)

    def status(self) -> ReplicaStatus:
        """Return how the replica follows the database."""
        ingestions = self._position.ingestions if self._position else ()
        return ReplicaStatus(self._state, self._warm_duration, self._warm_count, ingestions)
