"""The live graph of this process."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import assert_never

from graphcore import ChangeSet, DependencyGraph, DuplicateNameError
from server.domain.changes import ChangesDoNotFitError, FeedPosition, GraphLoad, HeldRows, RowChanges
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
from server.domain.watching import WatchBatch
from server.replica.comparing import LoadComparison, StepComparison, whole_graph
from server.replica.loading import Load
from server.replica.records import dependency_record, held_rows, service_record
from server.replica.stillness import Stillness
from server.replica.subscriptions import Subscriptions
from server.replica.waiting import Waiters


class Replica:
    """
    The graph in memory and where it stands. The feed writes it, handlers read it, all on one event loop.

    Invariant: between two awaits, graph and position equal the tables exactly as one snapshot of the database saw them.
    ``ask`` is called when a reader needs the feed to look now, ``settled`` whenever a page of rows was read that will stay for long.
    """

    def __init__(self, longest_wait: timedelta, ask: Callable[[], None] = lambda: None) -> None:
        self.ask = ask
        self.settled: Callable[[], None] = lambda: None
        self.subscriptions = Subscriptions()
        self._longest_wait = longest_wait
        self._graph = DependencyGraph()
        self._position: FeedPosition | None = None
        # The token of the position: every answer tells it, and making it takes longer than a walk.
        self._token = ""
        self._state = FeedState.WARMING
        self._waiters = Waiters()
        self._stillness = Stillness()
        self._begun = self._done = 0
        self._begun_at: dict[int, float] = {}
        self._level_at = 0.0
        self._warm_duration = timedelta()
        self._warm_count = 0

    # What the feed drives.

    @property
    def position(self) -> FeedPosition | None:
        """Where memory stands; None = nothing was loaded yet."""
        return self._position

    @property
    def graph(self) -> DependencyGraph:
        """The graph as it is now; it moves on while somebody awaits."""
        return self._graph

    @property
    def row_count(self) -> int:
        """Rows in memory, of both tables."""
        return self._graph.service_count + self._graph.dependency_count + self._graph.waiting_count

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for memory to move on."""
        return len(self._waiters) > 0

    def reading_begins(self) -> int:
        """Say that a snapshot is about to be taken; returns the ticket that its result comes with."""
        self._begun += 1
        self._begun_at = {self._begun: time.monotonic()}
        return self._begun

    def loading_begins(self) -> Load:
        """Start an empty graph aside."""
        return Load(LoadComparison(self._graph) if self.subscriptions else None, self.settled)

    def swap(self, load: GraphLoad, position: FeedPosition, ticket: int) -> None:
        """Answer from a loaded graph from now on."""
        if not isinstance(load, Load):
            raise TypeError(load)
        former, self._graph = self._graph, load.graph
        self._warm_duration = timedelta(seconds=time.monotonic() - load.began)
        self._warm_count += 1
        self._publish(position, ticket)
        if self.subscriptions:
            # A first watcher who came while it was read was too late for a comparison, and begins anew.
            comparison, freshness = load.comparison, self.freshness()
            if comparison is None:
                self._tell(whole_graph(self._graph, freshness))
            else:
                self._tell(comparison.batch(former, self._graph, freshness))

    async def may_move(self) -> None:
        """Wait until nobody needs the graph to stand still; ``apply`` comes before the next await."""
        await self._stillness.over()

    def apply(self, changes: RowChanges, position: FeedPosition, ticket: int) -> None:
        """Move the graph on; ``ChangesDoNotFitError`` leaves it as it is. O(changed rows)."""
        comparison = StepComparison(self._graph, changes) if self.subscriptions else None
        if changes.services or changes.dependencies:
            try:
                self._graph.apply(_change_set(changes))
            except DuplicateNameError as error:
                raise ChangesDoNotFitError(str(error)) from error
        self._publish(position, ticket)
        if comparison is not None:
            self._tell(comparison.batch(self.freshness()))

    def held(self) -> HeldRows:
        """Return the rows in memory as they are now. O(rows)."""
        return held_rows(self._graph)

    def connection_lost(self) -> None:
        """Say that the database is away; answers go on from the last snapshot."""
        if self._position is not None:
            self._state = FeedState.RECONNECTING

    def _publish(self, position: FeedPosition, ticket: int) -> None:
        self._position = position
        self._token = position.revision.token
        self._state = FeedState.FOLLOWING
        self._done = ticket
        self._level_at = self._begun_at.pop(ticket)
        self._waiters.look()

    def _tell(self, batch: WatchBatch | None) -> None:
        if batch is not None:
            self.subscriptions.publish(batch)

    # What handlers ask.

    @property
    def is_warm(self) -> bool:
        """Whether there is anything to answer from."""
        return self._position is not None

    async def warmed(self) -> None:
        """Wait for the first load, however long it takes."""
        while not await self._waiters.until(lambda: self.is_warm, timedelta(hours=1)):
            pass

    def now(self) -> DependencyGraph:
        """Return the graph as it is; raises ``NotReadyError`` before the first load."""
        if self._position is None:
            raise NotReadyError("the graph is still being read from the database: try again in a moment")
        return self._graph

    def holds(self, revision: Revision) -> bool:
        """Whether memory is at a revision, or beyond it, now."""
        position = self._position
        return (
            position is not None
            and position.feed_id == revision.feed_id
            and revision.held_by(position.snapshot)
        )

    def still(self) -> AbstractAsyncContextManager[None]:
        """While the context lasts, the graph that ``now`` returns does not move on. Only for work that waits for nobody."""
        return self._stillness.kept()

    async def at(self, wanted: Consistency, within: timedelta | None) -> DependencyGraph:
        """
        Return the graph once it is as fresh as wanted.

        Raises ``NotReadyError`` before the first load, ``ReplicaBehindError`` when ``within`` (None = the replica's own bound) passes
        first, ``RevisionUnknownError`` for a revision of another database.
        """
        self.now()
        bound = self._longest_wait if within is None else within
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
        # A step under way may have taken its snapshot before this request came: only the next one counts.
        ticket = self._begun + 1
        await self._until(lambda: self._done >= ticket, bound)

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
            raise ReplicaBehindError(
                f"this replica did not reach the asked-for freshness within {bound.total_seconds():.3f} s; "
                f"it was last level with the database {milliseconds} ms ago",
                lag_ms=str(milliseconds),
            )

    def freshness(self) -> Freshness:
        """Which snapshot memory holds now, and for how long that was not confirmed."""
        return Freshness(self._token, timedelta(seconds=time.monotonic() - self._level_at))

    def status(self) -> ReplicaStatus:
        """How the replica follows the database."""
        ingestions = self._position.ingestions if self._position else ()
        return ReplicaStatus(self._state, self._warm_duration, self._warm_count, ingestions)


def _change_set(changes: RowChanges) -> ChangeSet:
    services, dependencies = changes.services, changes.dependencies
    return ChangeSet(
        upserted_services=[service_record(row) for row in services.values() if row is not None],
        removed_services=[key for key, row in services.items() if row is None],
        upserted_dependencies=[dependency_record(row) for row in dependencies.values() if row is not None],
        removed_dependencies=[key for key, row in dependencies.items() if row is None],
    )
