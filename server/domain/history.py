"""The past of the graph: marks, and what reads the graph as it was at one."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from server.domain.changes import FeedPosition, ReportedConfidences, RowChanges
from server.domain.live_graph import Reading
from server.domain.revision import Revision, Snapshot


@dataclass(frozen=True, slots=True)
class Mark:
    """
    A state of the tables that the history leads back to: what ``snapshot`` showed.

    ``at`` is when it was taken, aware, in UTC. ``lineage`` numbers the stretch of history that it
    belongs to, ``feed_id`` is as in ``FeedPosition``. ``next_at`` is the time of the next mark, up
    to which times stand for this one; None = there may be none yet. Not ``is_exact``: a dump was
    restored after it, so its state is found by the times of changes instead of by the snapshot.

    The revision of an answer may name a state between two marks: then ``snapshot`` is its own, and
    the rest that of the mark before.
    """

    at: datetime
    lineage: int
    snapshot: Snapshot
    feed_id: str
    next_at: datetime | None
    is_exact: bool

    @property
    def revision(self) -> Revision:
        """The revision that answers from here carry."""
        return Revision(self.feed_id, snapshot=self.snapshot)


Point = datetime | Revision
"""
Names a state: a time, or the revision of an answer or of a write.

A time stands for the last mark at or before it, the revision of an answer for the very state that
it came from, and that of a write for the first mark that holds the write.
"""


FormerRows = RowChanges | ReportedConfidences


class PastReader(Protocol):
    """What the database knows of former states; raises ``DatabaseUnavailableError``, too."""

    async def mark_at(self, point: Point) -> Mark | None:
        """
        Return the state that a point names; None = the write has no mark yet.

        Raises ``HistoryUnavailableError``, whose message and metadata (``oldest_time``) name the
        oldest time there is, and ``RevisionUnknownError`` for a revision of another database.
        """

    def rows_at(self, mark: Mark, since: FeedPosition) -> AsyncGenerator[FormerRows, None]:
        """
        Yield rows of which a graph at ``since`` may differ from what they were at a mark.

        None = there was no such row. ``last_observed_at`` and ``updated_at`` mean nothing, and the
        confidence is the one reported; of other rows, only that is given where it may differ.
        Services come before dependencies. Raises
        ``HistoryUnavailableError`` when the history has come to an end since the mark was found,
        ``ReplicaBehindError`` when the database that answers is behind ``since``.
        """


class PastGraphs(Protocol):
    """Graphs as of former times, some of which are kept."""

    async def at(self, point: Point, within: timedelta) -> Reading:
        """
        Return the graph as it was.

        Raises what ``PastReader`` does, and ``ReplicaBehindError`` when ``within`` passes first.
        """
