"""What the handlers of ``GraphService`` ask of the replica; ``server.replica`` answers, ``server.app`` joins the two."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import NamedTuple, Protocol

from graphcore import DependencyGraph
from server.domain.consistency import Consistency, Freshness, ReplicaStatus
from server.domain.revision import Revision
from server.domain.watching import WatchBatch


class CallObserver(Protocol):
    """Hears of every call, of the contract or of gRPC's own services, once it is over."""

    def called(self, method: str, code: str, seconds: float, /) -> None:
        """Note a call by its full method name (``/package.Service/Method``) and the name of its status code; must be quick."""

    def refused(self, limit: str) -> None:
        """Note that a call met a limit, given by its name."""


class Load(NamedTuple):
    """What callers take of a process at one moment: calls that wait for their turn, bytes of large requests that are worked on and of answers that are not sent yet."""

    waiting_calls: int
    requests_bytes: int
    unsent_bytes: int


class LiveGraph(Protocol):
    """
    The graph in memory, which moves on only while somebody awaits.

    Whatever a handler reads from the graph after ``at`` and before its next ``await`` comes from one snapshot, the one
    that ``freshness`` names in the same stretch. Payloads and briefs are records as ``server.domain.records`` has them.
    """

    def now(self) -> DependencyGraph:
        """Return the graph as it is; raises ``NotReadyError`` before the first warm."""

    def holds(self, revision: Revision) -> bool:
        """Whether memory is at a revision, or beyond it, now."""

    def read_lock(self) -> AbstractAsyncContextManager[None]:
        """
        While the context lasts, the graph that ``now`` returns stays at the snapshot it is at, awaits or not.

        For work that takes several turns of the event loop and waits for nothing but them: changes wait for its end.
        """

    async def at(self, wanted: Consistency, within: timedelta | None) -> DependencyGraph:
        """
        Return the graph once it is as fresh as wanted.

        Raises ``NotReadyError`` before the first warm, ``ReplicaBehindError`` when ``within`` (None = the replica's own bound)
        passes first, ``RevisionUnknownError`` for a revision of another database.
        """

    def freshness(self) -> Freshness:
        """Which snapshot memory holds now, and for how long that was not confirmed."""

    def status(self) -> ReplicaStatus:
        """How the replica follows the database."""


class WatchedGraph(Protocol):
    """The graph in memory, for those who want to hear of every change."""

    def watch(
        self, since: Revision | None, *, include_state: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """
        Watch while the context lasts; the batches never end by themselves, and the first one comes at once.

        It leads from ``since`` to now, or resets where that is impossible. The revision of a *write* stands for no snapshot: what
        follows begins at the first snapshot here that holds it, as it does now for None, with the whole graph if ``include_state``.

        Raises ``NotReadyError``, ``ReplicaBehindError`` and ``DatabaseUnavailableError`` at the start, and ``WatcherTooSlowError``
        at any time, whatever the body is waiting for.
        """
