"""The live graph of this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from graphcore import DependencyGraph, DuplicateNameError
from server.domain.changes import ChangesDoNotFitError, FeedPosition, GraphLoad, GraphStep
from server.domain.consistency import FeedState
from server.domain.graph_events import GraphEvent, GraphEventObserver, UnseenCause
from server.domain.held import HeldGraph
from server.domain.records import RecordFormat
from server.replica.background import changed_copy, dismantle, noted, room_for, search_components
from server.replica.load import Load
from server.replica.reading import ReadableGraph
from server.replica.step import Step
from server.replica.subscriptions import GraphDiff, Subscriptions

# Up to so many records are put in place within 10 ms; more of them into a copy, which takes 0.1 s for a million dependencies.
IN_PLACE = 2_000
# So many new records are a millisecond's work for the garbage collector whenever it looks at everything.
UNSETTLED = 2_500


class Replica(ReadableGraph):
    """
    The graph in memory and where it stands. The feed writes it, handlers read it, all on one event loop.

    Invariant: between two awaits, graph and position equal the tables exactly as one snapshot of the database saw them.
    ``ask`` is called when a reader needs the feed to look now, ``settled`` whenever many records were made that will stay for long,
    ``copied`` as soon as a part of a graph was copied. ``observer`` hears of every move.
    """

    def __init__(
        self,
        longest_wait: timedelta,
        records: RecordFormat,
        ask: Callable[[], None] = lambda: None,
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        super().__init__(longest_wait, ask, cycle_confidence=cycle_confidence)
        self.settled: Callable[[], None] = lambda: None
        self.copied: Callable[[], None] = lambda: None
        self.observer: GraphEventObserver | None = None
        self.subscriptions = Subscriptions()
        self._records = records
        self._unsettled = 0
        self._dismantling: set[asyncio.Task[None]] = set()

    @property
    def service_count(self) -> int:
        """Services in memory."""
        return self._graph.service_count

    @property
    def row_count(self) -> int:
        """Rows in memory, of both tables."""
        return self._graph.service_count + self._graph.dependency_count + self._graph.waiting_count

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for memory to move on."""
        return len(self._waiters) > 0

    def snapshot_begins(self) -> None:
        """Note that a snapshot is about to be taken; ``apply`` or ``swap`` brings memory to it."""
        self._tickets.begin()

    def step_begins(self) -> Step:
        """Start to collect what differs from the graph as it is now."""
        return Step(self._graph, self._records, self._made)

    async def apply(self, step: GraphStep, position: FeedPosition) -> None:
        """
        GraphEvent the graph on; ``ChangesDoNotFitError`` leaves it as it is.

        In place where that holds nobody up, else a copy is changed and swapped in. O(changed records), + O(V + E) for a copy.
        """
        if not isinstance(step, Step) or step.graph is not self._graph:
            raise TypeError(step)
        changes = await step.complete()
        moves: Sequence[GraphEvent] | UnseenCause = UnseenCause.LARGE
        try:
            if len(step) > IN_PLACE:
                changed = await changed_copy(self._graph, changes, self.copied)
                await self._keep_components(changed)
                difference = await self._may_move(step.difference)
                self._replace(changed)
            else:
                roomier = await room_for(self._graph, len(changes.upserted_dependencies))
                moves = await self._wanted_moves(step)
                difference = await self._may_move(step.difference)
                if roomier is not None:
                    self._graph.index.become(roomier)
                self._graph.apply(changes)
        except DuplicateNameError as error:
            raise ChangesDoNotFitError(str(error)) from error
        self._publish(position, difference, moves)

    def loading_begins(self) -> Load:
        """Start an empty graph aside."""
        former = self._graph if self.is_warm else None
        return Load(former, self._records, self.settled, cycle_confidence=self._cycle_confidence)

    async def swap(self, load: GraphLoad, position: FeedPosition) -> None:
        """Answer from a loaded graph from now on."""
        if not isinstance(load, Load):
            raise TypeError(load)
        graph = await load.complete()
        await self._keep_components(graph)
        difference = await self._may_move(load.difference)
        self._replace(graph)
        self._warm_duration = timedelta(seconds=time.monotonic() - load.began)
        self._warm_count += 1
        self._publish(position, difference, UnseenCause.RELOADED)

    async def held(self) -> HeldGraph:
        """Return the records in memory as they are now; the graph must not move meanwhile. O(V + E)."""
        return await noted(self._graph)

    def connection_lost(self) -> None:
        """Say that the database is away; answers go on from the last snapshot."""
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

    async def _may_move(self, compare: Callable[[], Awaitable[GraphDiff]]) -> GraphDiff | None:
        """
        Wait until nobody needs the graph to stand still; the move comes before the next await.

        Returns what watchers will see of it, if there is any watcher.
        """
        difference = None
        while True:
            if self.subscriptions and difference is None:
                difference = await compare()
            await self._read_lock.wait_for_readers()
            # The first watcher may have come while this waited.
            if difference is not None or not self.subscriptions:
                return difference

    def _replace(self, graph: DependencyGraph) -> None:
        former, self._graph = self._graph, graph
        dismantling = asyncio.create_task(dismantle(former))
        # The loop itself keeps no reference to a task.
        self._dismantling.add(dismantling)
        dismantling.add_done_callback(self._dismantling.discard)

    async def _wanted_moves(self, step: Step) -> Sequence[GraphEvent]:
        least = None if self.observer is None else self.observer.least_confidence
        return () if least is None else await step.moves(least)

    def _publish(
        self,
        position: FeedPosition,
        difference: GraphDiff | None,
        moves: Sequence[GraphEvent] | UnseenCause,
    ) -> None:
        self._position = position
        self._token = position.revision.token
        self._state = FeedState.FOLLOWING
        self._tickets.finish()
        self._waiters.notify()
        batch = difference.batch(self.freshness()) if difference else None
        if batch is not None:
            self.subscriptions.publish(batch)
        if self.observer is not None:
            self.observer.moved(moves)
