"""What detection asks of the replica; ``server.replica`` answers, ``server.app`` joins the two."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol

from graphcore import DependencyGraph
from server.domain.changes import FeedPosition
from server.domain.consistency import Consistency, Freshness


class LiveGraph(Protocol):
    """The graph in memory, which moves on only while somebody awaits."""

    @property
    def position(self) -> FeedPosition | None:
        """Where the graph stands; None before the first warm."""

    def now(self) -> DependencyGraph:
        """Return the graph as it is; raises ``NotReadyError`` before the first warm."""

    def read_lock(self) -> AbstractAsyncContextManager[None]:
        """While the context lasts, the graph that ``now`` returns does not move on. Only for work that waits for nobody."""

    async def at(self, wanted: Consistency, within: timedelta | None) -> DependencyGraph:
        """Return the graph once it is as fresh as wanted; raises ``ReplicaBehindError`` when that takes too long."""

    def freshness(self) -> Freshness:
        """Which snapshot memory holds now, and for how long that was not confirmed."""
