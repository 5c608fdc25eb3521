"""What ``rpc`` needs of the replica and the metrics; ``server.app`` passes in what provides it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from server.domain.revision import Revision
from server.domain.watching import WatchBatch


class CallObserver(Protocol):
    """Is notified of every call when it ends, gRPC's own services included."""

    def called(self, method: str, code: str, seconds: float, /) -> None:
        """Note a call: full method name (``/package.Service/Method``), status code; be quick."""

    def refused(self, limit: str) -> None:
        """Note that a call was refused for a limit, by the limit's name."""


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
