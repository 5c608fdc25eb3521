"""The graph in memory as handlers and detection read it, how fresh it is, and its health."""

import enum
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from graphcore import DependencyGraph
from server.domain.changes import FeedPosition, Ingestion
from server.domain.revision import Revision


@dataclass(frozen=True, slots=True)
class MinimizeLatency:
    """Answer from memory now."""


@dataclass(frozen=True, slots=True)
class AtLeastAsFresh:
    """Wait until memory holds a revision."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class FullyConsistent:
    """Wait for a read of the database begun after the request arrived."""


@dataclass(frozen=True, slots=True)
class AsOf:
    """Answer about the graph as it was at a time, which is aware, in UTC."""

    time: datetime


Consistency = MinimizeLatency | AtLeastAsFresh | FullyConsistent | AsOf


@dataclass(frozen=True, slots=True)
class Freshness:
    """
    The token of the snapshot in memory, and the time since the replica was last caught up.

    ``as_of_time`` is the time of the mark of a past graph, whose lag is zero; None = it is the live
    graph. ``approximate``: that past was read by time instead of by snapshot.
    """

    revision: str
    lag: timedelta
    as_of_time: datetime | None = None
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """
    A graph to answer from, and its freshness.

    The live graph changes while the caller awaits. A past graph does not change, but is given up
    when others are asked for, unless somebody ``keeps`` it. ``LiveGraph.hold`` does for both what a
    reader needs that awaits.
    """

    graph: DependencyGraph
    freshness: Freshness
    keeps: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def is_past(self) -> bool:
        """Whether it is a past graph."""
        return self.freshness.as_of_time is not None


class FeedState(enum.Enum):
    """How the replica follows the database."""

    WARMING = "warming"
    FOLLOWING = "following"
    RECONNECTING = "reconnecting"


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How the replica is, beside the counts of the graph itself."""

    feed_state: FeedState
    warm_duration: timedelta
    warm_count: int
    ingestions: tuple[Ingestion, ...]


@dataclass(frozen=True, slots=True)
class MemoryAudit:
    """
    A comparison of memory with the tables, row by row, in one snapshot. Times are aware, UTC.

    ``differing_rows`` counts rows that were missing, superfluous or different in memory.
    """

    began_at: datetime
    duration: timedelta
    differing_rows: int


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """
    Health of the feed; ``problems`` are sentences for people.

    ``trusted`` False = changes may go unseen, so memory may be wrong without any sign in its lag.
    ``change_log_rows`` is an estimate from when the log was last pruned.
    """

    problems: tuple[str, ...] = ()
    trusted: bool = True
    last_audit: MemoryAudit | None = None
    change_log_rows: int = 0


@dataclass(slots=True)
class Peers:
    """
    The workers that share an address, as one of them sees it.

    ``number`` is its own, from 1. ``serving`` is how many of ``count`` answer calls, as the
    supervisor reported last. A process without a supervisor is the only worker.
    """

    number: int = 1
    count: int = 1
    serving: int = 1

    def problems(self) -> tuple[str, ...]:
        """Describe for people what is wrong with them."""
        away = self.count - self.serving
        if not away:
            return ()
        which = f"{away} of {self.count} workers {'does' if away == 1 else 'do'} not serve"
        return (f"{which} yet or any more: the log says why, and they are started again by themselves",)


class LiveGraph(Protocol):
    """
    The graph in memory, which changes only while the caller awaits.

    All that a handler reads between ``at`` and its next ``await`` comes from one snapshot, which
    the reading's freshness names. The graph's records hold encoded rows (``server.wire``).
    """

    @property
    def position(self) -> FeedPosition | None:
        """The snapshot that the graph equals; None before the first load."""

    def now(self) -> DependencyGraph:
        """Return the graph as it is; raises ``NotReadyError`` before the first load."""

    def holds(self, revision: Revision) -> bool:
        """Whether memory has reached a revision."""

    async def at(self, wanted: Consistency, within: timedelta | None) -> Reading:
        """
        Return the graph once it is as fresh as wanted, or a past graph.

        Raises ``NotReadyError`` before the first load, ``ReplicaBehindError`` when ``within``
        passes first (None = the replica's own bound; never more than a minute),
        ``RevisionUnknownError`` for a revision of another database, ``HistoryUnavailableError``
        for a time that the history does not reach.
        """

    def hold(self, reading: Reading) -> AbstractAsyncContextManager[Reading]:
        """
        Return a reading that does not change while the context lasts; for computations only.

        For a reading of the live graph, this is the live graph as it is by then, under the read
        lock.
        """

    def freshness(self) -> Freshness:
        """Return which snapshot memory holds now, and how long ago that was confirmed."""

    def status(self) -> ReplicaStatus:
        """Return how the replica follows the database."""
