"""Subscriptions to changes of the graph, and the batches that each has yet to take."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from graphcore import DependencyRecord, ServiceRecord
from server.domain.errors import WatcherTooSlowError
from server.domain.live_graph import Freshness
from server.domain.watching import WatchBatch, WatchEvent


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """What watchers see of a move, found before the graph moves; fields as in ``WatchBatch``."""

    services: list[ServiceRecord] = field(default_factory=list)
    dependencies: list[DependencyRecord] = field(default_factory=list)
    removed_services: dict[bytes, ServiceRecord | None] = field(default_factory=dict)
    removed_dependencies: dict[bytes, DependencyRecord | None] = field(default_factory=dict)

    def batch(self, freshness: Freshness) -> WatchBatch | None:
        """Return it as a batch for watchers; None when they see no change. O(1)."""
        batch = WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            self.services,
            self.dependencies,
            self.removed_services,
            self.removed_dependencies,
        )
        return batch if batch.row_count else None


class Subscription:
    """
    Batches that one watcher has not taken yet.

    Holds at most ``max_rows`` rows, or a single batch of any size. With more it drops all of them
    and calls ``overflows``, once.
    """

    def __init__(self, max_rows: int, overflows: Callable[[], None]) -> None:
        self._max_rows = max_rows
        self._overflows = overflows
        self._pending: deque[WatchBatch] = deque()
        self._rows = 0
        self._arrived = asyncio.Event()
        self._is_lost = False

    def offer(self, batch: WatchBatch) -> None:
        """
        Keep a batch until it is taken.

        A RESET replaces all others and weighs nothing, since its rows are those of the graph.
        """
        if self._is_lost:
            return
        if batch.event is WatchEvent.RESET:
            self.take_all()
        elif self._pending and self._rows + batch.row_count > self._max_rows:
            self._is_lost = True
            self.take_all()
            self._overflows()
            return
        self._pending.append(batch)
        self._rows += _weight(batch)
        self._arrived.set()

    def take_all(self) -> list[WatchBatch]:
        """Take all batches."""
        taken = list(self._pending)
        self._pending.clear()
        self._arrived.clear()
        self._rows = 0
        return taken

    async def take(self, within: timedelta) -> WatchBatch | None:
        """Take the next batch; None when none came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await self._arrived.wait()
        if not self._pending:
            return None
        batch = self._pending.popleft()
        self._rows -= _weight(batch)
        if not self._pending:
            self._arrived.clear()
        return batch


class Subscriptions:
    """
    All watchers of one replica.

    Batches are shared, and those that one watcher has yet to take are the tail of the slowest
    watcher's: together they take no more memory than that one alone.
    """

    def __init__(self) -> None:
        self._open: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def opened(self, max_rows: int) -> AsyncIterator[Subscription]:
        """
        Subscribe from now until the context ends.

        When the subscription overflows, ``WatcherTooSlowError`` is raised in what the body awaits,
        even in a write that the client does not read.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience:
                subscription = Subscription(max_rows, lambda: patience.reschedule(loop.time()))
                self._open.add(subscription)
                try:
                    yield subscription
                finally:
                    self._open.discard(subscription)
        except TimeoutError:
            if not patience.expired():
                raise
            raise WatcherTooSlowError(
                f"the watcher reads more slowly than the graph changes: more than {max_rows:,} changed rows "
                "waited for it; resume after the last revision seen"
            ) from None

    def publish(self, batch: WatchBatch) -> None:
        """Offer a batch to all subscriptions. O(watchers)."""
        for subscription in tuple(self._open):
            subscription.offer(batch)


def _weight(batch: WatchBatch) -> int:
    return 0 if batch.event is WatchEvent.RESET else batch.row_count
