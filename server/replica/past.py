"""Graphs as of former times: copies of the live graph in which what changed since is undone."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from graphcore import DependencyGraph, DuplicateNameError
from server.domain.errors import HistoryUnavailableError, NotReadyError, ReplicaBehindError
from server.domain.history import Mark, PastReader, Point
from server.domain.live_graph import Freshness, Reading
from server.replica.load import apply_in_parts, copy_of, dismantle
from server.replica.replica import Replica
from server.replica.step import Step

MOST_KEPT = 3
"""Past graphs that are alive at a time, with the one in work and those that calls read."""

# A copy has room for this share of more dependencies: those that were removed since.
_ROOM_SHARE = 1 / 64
# A write is marked some seconds later.
_LOOK_AGAIN_SECONDS = 0.5


class _State(NamedTuple):
    """A state as one run of the database knows it: what another one says of it may differ."""

    run: str
    revision: str
    is_exact: bool


@dataclass(slots=True)
class _Past:
    """A graph as of a mark; ``released`` is called whenever nobody reads it any more."""

    mark: Mark
    graph: DependencyGraph
    released: Callable[[], None]
    reading: Reading = field(init=False)
    users: int = 0
    is_given_up: bool = False

    def __post_init__(self) -> None:
        mark = self.mark
        freshness = Freshness(mark.revision.token, timedelta(), mark.at, approximate=not mark.is_exact)
        self.reading = Reading(self.graph, freshness, self.keeps)

    def answers_for(self, time: datetime) -> bool:
        """Whether a time stands for its mark, as far as is known."""
        return self.mark.next_at is not None and self.mark.at <= time < self.mark.next_at

    @contextmanager
    def keeps(self) -> Iterator[None]:
        """See ``Reading``."""
        if self.is_given_up:
            raise ReplicaBehindError("graphs of too many former times are asked for at once: try again")
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1
            if not self.users:
                self.released()


@dataclass(slots=True)
class _Build:
    """A graph in work, and how many callers wait for it."""

    task: "asyncio.Task[_Past]"
    waiting: int = 0


class KeptPasts:
    """
    ``domain.history.PastGraphs`` of one replica: keeps the graphs that were asked for last.

    One is built at a time, for all callers that ask for the same state. A build that nobody waits
    for any more is dropped.
    """

    def __init__(self, replica: Replica, reader: PastReader) -> None:
        self._replica = replica
        self._reader = reader
        # The one used last stands last.
        self._kept: OrderedDict[_State, _Past] = OrderedDict()
        self._builds: dict[_State, _Build] = {}
        self._one_at_a_time = asyncio.Lock()
        self._released = asyncio.Event()
        self._dismantling: set[asyncio.Task[None]] = set()

    async def at(self, point: Point, within: timedelta) -> Reading:
        """See ``PastGraphs.at``. Microseconds for a graph that is kept; else as ``_build``."""
        if isinstance(point, datetime) and (kept := self._kept_for(point)) is not None:
            return kept.reading
        try:
            async with asyncio.timeout(within.total_seconds()) as bound:
                return (await self._found(point)).reading
        except TimeoutError:
            if not bound.expired():
                raise
            raise ReplicaBehindError(
                f"the graph of that time was not ready within {within.total_seconds():.3f} s: try again"
            ) from None

    def _kept_for(self, time: datetime) -> _Past | None:
        run = self._run()
        for state, past in self._kept.items():
            if state.run == run and past.answers_for(time):
                self._kept.move_to_end(state)
                return past
        return None

    async def _found(self, point: Point) -> _Past:
        mark = await self._reader.mark_at(point)
        while mark is None:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            mark = await self._reader.mark_at(point)
        state = _State(self._run(), mark.revision.token, mark.is_exact)
        past = self._kept.get(state)
        if past is None:
            return await self._built(state, mark)
        past.mark = mark
        self._kept.move_to_end(state)
        return past

    async def _built(self, state: _State, mark: Mark) -> _Past:
        """Wait for a graph, which others may wait for, too."""
        build = self._builds.get(state)
        if build is None:
            build = self._builds[state] = _Build(asyncio.create_task(self._build(state, mark)))
        build.waiting += 1
        try:
            return await asyncio.shield(build.task)
        finally:
            build.waiting -= 1
            if not build.waiting:
                # Ends it if it is not done.
                build.task.cancel()
                # A caller that comes before it has ended needs another one.
                if self._builds.get(state) is build:
                    del self._builds[state]

    async def _build(self, state: _State, mark: Mark) -> _Past:
        """Build a graph and keep it. O(V + E + changes since the mark)."""
        if mark.is_exact:
            # What only the mark's snapshot saw is no change since then, and would stay out.
            await self._replica.covers(mark.snapshot)
        async with self._one_at_a_time:
            await self._make_room()
            past = _Past(mark, await self._rebuilt(mark), self._released.set)
            self._kept[state] = past
            return past

    async def _make_room(self) -> None:
        """Give up a graph that nobody reads: one of another run of the database, or the oldest."""
        while len(self._kept) >= MOST_KEPT:
            idle = [state for state, past in self._kept.items() if not past.users]
            if not idle:
                self._released.clear()
                await self._released.wait()
                continue
            state = next((each for each in idle if each.run != self._run()), idle[0])
            past = self._kept.pop(state)
            past.is_given_up = True
            self._free(past.graph)
        while len(self._dismantling) > 1:
            await asyncio.wait(self._dismantling, return_when=asyncio.FIRST_COMPLETED)

    async def _rebuilt(self, mark: Mark) -> DependencyGraph:
        replica = self._replica
        async with replica.read_lock():
            position = replica.position
            if position is None:
                raise NotReadyError("the graph is not in memory yet: try again in a moment")
            if mark.is_exact and not position.snapshot.covers(mark.snapshot):
                # Another database was loaded meanwhile.
                raise ReplicaBehindError("the live graph is behind that time at the moment: try again")
            graph = await self._copied(replica.now())
        try:
            # The first entry after the mark says what a row was, so that entries after the copy do
            # no harm.
            step = Step(graph, lambda _: replica.copied())
            async with aclosing(self._reader.rows_at(mark, position)) as rows:
                changes = await step.read(rows)
            await apply_in_parts(graph, changes)
        except BaseException as error:
            self._free(graph)
            if isinstance(error, DuplicateNameError):
                # Times of changes can mislead, where a clock was set back.
                raise HistoryUnavailableError(
                    f"the graph of that time can't be put together: {error}"
                ) from None
            raise
        return graph

    async def _copied(self, live: DependencyGraph) -> DependencyGraph:
        """Copy the live graph; to drop a half-made copy would take as long as to finish it."""
        room = int(live.dependency_count * _ROOM_SHARE)
        copying = asyncio.ensure_future(copy_of(live, room, self._replica.copied))
        try:
            return await asyncio.shield(copying)
        except asyncio.CancelledError:
            # The read lock is held until it is done.
            await asyncio.wait((copying,))
            self._free(copying.result())
            raise

    def _free(self, graph: DependencyGraph) -> None:
        dismantling = asyncio.create_task(dismantle(graph))
        # The event loop keeps no strong reference to a task.
        self._dismantling.add(dismantling)
        dismantling.add_done_callback(self._dismantling.discard)

    def _run(self) -> str:
        """Return which run of the database the live graph follows."""
        position = self._replica.position
        return "" if position is None else position.feed_id
