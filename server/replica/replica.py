"""The graph of this process, moved on by the feed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

from graphcore import DependencyGraph, DuplicateNameError
from server.domain.changes import ChangesDoNotFitError, FeedPosition, HeldGraph, RowBatch, TableBatch
from server.domain.detection import GraphEvent, GraphEventObserver, UnseenCause
from server.domain.live_graph import FeedState
from server.replica.load import Load, changed_copy, dismantle, held_records, room_for, search_components
from server.replica.reading import ReadableGraph
from server.replica.step import Step
from server.replica.subscriptions import GraphDiff, Subscriptions

# So many records are applied in place within 10 ms; more go into a copy, which takes 0.1 s for a
# million dependencies.
IN_PLACE = 2_000
# The garbage collector needs a millisecond to look through so many new records.
UNSETTLED = 2_500


class Replica(ReadableGraph):
    """
    The graph in memory. The feed writes it, handlers read it, on one event loop.

    Invariant: between two awaits, graph and position equal the tables as one snapshot shows them.
    ``settled`` is called when many records were made that are kept for long, ``copied`` after each
    part of a copied graph, ``observer`` at every move.
    """

    def __init__(self, longest_wait: timedelta, *, cycle_confidence: float = 0.0) -> None:
        super().__init__(longest_wait, cycle_confidence=cycle_confidence)
        self.settled: Callable[[], None] = lambda: None
        self.copied: Callable[[], None] = lambda: None
        self.observer: GraphEventObserver | None = None
        self.subscriptions = Subscriptions()
        self._unsettled = 0
        self._dismantling: set[asyncio.Task[None]] = set()

    @property
    def service_count(self) -> int:
        """Services in memory."""
        return self._graph.service_count

    @property
    def row_count(self) -> int:
        """Rows in memory, of all three tables."""
        graph = self._graph
        return graph.service_count + graph.dependency_count + graph.dangling_count + graph.alias_count

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for memory to move on."""
        return len(self._waiters) > 0

    def snapshot_begins(self) -> None:
        """See ``GraphSink.snapshot_begins``."""
        self._tickets.begin()

    async def apply(self, batches: AsyncIterator[RowBatch], position: FeedPosition) -> None:
        """
        See ``GraphSink.apply``. O(changed records), + O(V + E) for a copy.

        Few changes are applied in place; many go into a copy, which then replaces the graph.
        """
        step = Step(self._graph, self._made)
        changes = await step.read(batches)
        events: Sequence[GraphEvent] | UnseenCause = UnseenCause.LARGE
        try:
            if len(step) > IN_PLACE:
                changed = await changed_copy(self._graph, changes, self.copied)
                await self._keep_components(changed)
                diff = await self._ready_to_move(step.diff)
                self._replace(changed)
            else:
                roomier = await room_for(self._graph, len(changes.upserted_dependencies))
                events = await self._events(step)
                diff = await self._ready_to_move(step.diff)
                if roomier is not None:
                    self._graph.index.become(roomier)
                self._graph.apply(changes)
        except DuplicateNameError as error:
            raise ChangesDoNotFitError(str(error)) from error
        self._publish(position, diff, events)

    async def load(self, batches: AsyncIterator[TableBatch], position: FeedPosition) -> None:
        """See ``GraphSink.load``. O(V + E)."""
        began = time.monotonic()
        former = self._graph if self.is_warm else None
        load = Load(former, self.settled, cycle_confidence=self._cycle_confidence)
        async for batch in batches:
            await load.add(batch)
        graph = await load.complete()
        await self._keep_components(graph)
        diff = await self._ready_to_move(load.diff)
        self._replace(graph)
        self._warm_duration = timedelta(seconds=time.monotonic() - began)
        self._warm_count += 1
        self._publish(position, diff, UnseenCause.RELOADED)

    async def held(self) -> HeldGraph:
        """See ``GraphSink.held``. O(V + E)."""
        return await held_records(self._graph)

    def connection_lost(self) -> None:
        """See ``GraphSink.connection_lost``; answers go on from the last snapshot."""
        if self._position is not None:
            self._state = FeedState.RECONNECTING

    def _made(self, records: int) -> None:
        self._unsettled += records
        if self._unsettled >= UNSETTLED:
            self._unsettled = 0
            self.settled()

    async def _keep_components(self, graph: DependencyGraph) -> None:
        former = self._graph
        await search_components(former.components, graph.components)
        if former.confident_components is not former.components:
            await search_components(former.confident_components, graph.confident_components)

    async def _ready_to_move(self, find_diff: Callable[[], Awaitable[GraphDiff]]) -> GraphDiff | None:
        """
        Wait until no reader holds the read lock; the graph moves before the next await.

        Returns what watchers will see of the move, if there are any.
        """
        diff = None
        while True:
            if self.subscriptions and diff is None:
                diff = await find_diff()
            await self._read_lock.wait_for_readers()
            # The first watcher may have come during this wait.
            if diff is not None or not self.subscriptions:
                return diff

    def _replace(self, graph: DependencyGraph) -> None:
        former, self._graph = self._graph, graph
        dismantling = asyncio.create_task(dismantle(former))
        # The event loop keeps no strong reference to a task.
        self._dismantling.add(dismantling)
        dismantling.add_done_callback(self._dismantling.discard)

    async def _events(self, step: Step) -> Sequence[GraphEvent]:
        least = None if self.observer is None else self.observer.least_confidence
        return () if least is None else await step.events(least)

    def _publish(
        self, position: FeedPosition, diff: GraphDiff | None, events: Sequence[GraphEvent] | UnseenCause
    ) -> None:
        self._position = position
        self._token = position.revision.token
        self._state = FeedState.FOLLOWING
        self._tickets.finish()
        self._waiters.notify()
        batch = diff.batch(self.freshness()) if diff else None
        if batch is not None:
            self.subscriptions.publish(batch)
        if self.observer is not None:
            self.observer.graph_moved(events)
