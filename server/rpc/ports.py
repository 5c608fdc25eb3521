"""What ``rpc`` needs of the replica and the metrics; ``server.app`` passes in what provides it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from graphcore import DependencyGraph
from server.domain.consistency import Consistency, Freshness, ReplicaStatus
from server.domain.revision import Revision
from server.domain.watching import WatchBatch


class CallObserver(Protocol):
    """Is notified of every call when it ends, gRPC's own services included."""

    def called(self, method: str, code: str, seconds: float, /) -> None:
        """Note a call: full method name (``/package.Service/Method``), status code; be quick."""

    def refused(self, limit: str) -> None:
        """Note that a call was refused for a limit, by the limit's name."""


class LiveGraph(Protocol):
    """
    The graph in memory, which changes only while the caller awaits.

    All that a handler reads from the graph between ``at`` and its next ``await`` comes from one
    snapshot, which ``freshness`` names before that await, too. Payloads and briefs are encoded
    records (``server.domain.records``).
    """

    def now(self) -> DependencyGraph:
        """Return the graph as it is; raises ``NotReadyError`` before the first warm."""

    def holds(self, revision: Revision) -> bool:
        """Whether memory has reached a revision."""

    def read_lock(self) -> AbstractAsyncContextManager[None]:
        """
        Keep the graph from changing while the context lasts, whatever is awaited.

        Changes wait for its end, so hold it for computations only.
        """

    async def at(self, wanted: Consistency, within: timedelta | None) -> DependencyGraph:
        """
        Return the graph once it is as fresh as wanted.

        Raises ``NotReadyError`` before the first warm, ``ReplicaBehindError`` when ``within``
        (None = the replica's own bound) passes first, ``RevisionUnknownError`` for a revision of
        another database.
        """

    def freshness(self) -> Freshness:
        """Return which snapshot memory holds now, and how long ago that was confirmed."""

    def status(self) -> ReplicaStatus:
        """Return how the replica follows the database."""


class WatchedGraph(Protocol):
    """The graph in memory, for callers that want every change."""

    def watch(
        self, since: Revision | None, *, include_state: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """
        Watch while the context lasts; the batches never end, and the first comes at once.

        The first batch leads from ``since`` to now, or resets where that is impossible. The
        revision of a *write* is no snapshot: batches begin at the first snapshot here that holds
        the write, as they begin now for None, with the whole graph if ``include_state``.

        Raises ``NotReadyError``, ``ReplicaBehindError`` and ``DatabaseUnavailableError`` at the
        start, and ``WatcherTooSlowError`` at any time, whatever the body is waiting for.
        """
