"""Watchers of the graph, and what each of them has yet to be told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from graphcore import DependencyRecord, ServiceRecord
from server.domain.consistency import Freshness
from server.domain.errors import WatcherTooSlowError
from server.domain.watching import WatchBatch, WatchEvent


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """What came, went and looks otherwise, collected before the graph moves; ``WatchBatch`` says what the fields are."""

    services: list[ServiceRecord] = field(default_factory=list)
    dependencies: list[DependencyRecord] = field(default_factory=list)
    removed_services: dict[bytes, ServiceRecord | None] = field(default_factory=dict)
    removed_dependencies: dict[bytes, DependencyRecord | None] = field(default_factory=dict)

    def batch(self, freshness: Freshness) -> WatchBatch | None:
        """Return it as watchers are told; None when there is nothing to tell. O(1)."""
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

    At most ``max_rows`` rows, or a single batch of any size; with more it *overflows*: it lets go of everything and says so once.
    """

    def __init__(self, max_rows: int, overflows: Callable[[], None]) -> None:
        self._max_rows = max_rows
        self._overflows = overflows
        self._pending: deque[WatchBatch] = deque()
        self._rows = 0
        self._arrived = asyncio.Event()
        self._is_lost = False

    def offer(self, batch: WatchBatch) -> None:
        """Keep a batch until it is taken. A RESET replaces what was there, and weighs nothing: its rows are those of the graph."""
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
        """Take whatever is there."""
        taken = list(self._pending)
        self._pending.clear()
        self._arrived.clear()
        self._rows = 0
        return taken

    async def take(self, within: timedelta) -> WatchBatch | None:
        """Take the next batch; None when none came in time, and then there is none."""
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

    Batches are shared, and what one watcher has yet to take is the tail of what another has: together they hold no more than the
    slowest alone.
    """

    def __init__(self) -> None:
        self._open: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def opened(self, max_rows: int) -> AsyncIterator[Subscription]:
        """
        Subscribe from this moment on, until the context ends.

        When the subscription overflows, whatever the body waits for is interrupted, a write that nobody reads included, and
        ``WatcherTooSlowError`` raised.
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
                f"the watcher was dropped, for it reads more slowly than the graph changes: more than {max_rows:,} changed rows "
                "waited for it; it may resume after the last revision it has seen"
            ) from None

    def publish(self, batch: WatchBatch) -> None:
        """Give a batch to everybody. O(watchers)."""
        for subscription in tuple(self._open):
            subscription.offer(batch)


def _weight(batch: WatchBatch) -> int:
    return 0 if batch.event is WatchEvent.RESET else batch.row_count
