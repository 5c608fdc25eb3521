"""What the handlers of ``GraphService`` ask of the replica; ``server.replica`` answers, ``server.app`` joins the two."""

from datetime import timedelta
from typing import Protocol

from graphcore import DependencyGraph
from server.domain.consistency import Consistency, Freshness, ReplicaStatus


class LiveGraph(Protocol):
    """
    The graph in memory, which moves on only while somebody awaits.

    Whatever a handler reads from the graph after ``at`` and before its next ``await`` comes from one snapshot, the one
    that ``freshness`` names in the same stretch. Node payloads are ``domain.Service``, edge payloads ``domain.DependencyRow``.
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
