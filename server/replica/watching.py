"""Streams of what changes in memory, each from where its watcher wants to begin."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import cast

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.concurrency.cooperative_yield import CooperativeYield
from server.config import WatchSettings
from server.domain.consistency import AtLeastAsFresh, Freshness, MinimizeLatency
from server.domain.errors import RevisionUnknownError
from server.domain.revision import Revision, Snapshot
from server.domain.watching import ChangedKeys, ChangeHistory, WatchBatch, WatchEvent
from server.replica.replica import Replica
from server.replica.subscriptions import Subscription

_LOT = 250


class ResumedChanges:
    """
    Changed keys with their records as memory holds them, None = gone, looked up lot by lot while memory moves on.

    Made when memory stands at the snapshot up to which the keys will be told. What a lot finds may be overtaken before the last
    one is looked up: whoever overlays every batch that memory published since it was made, in order, ends with exactly the
    records of the last moment.
    """

    def __init__(self, graph: DependencyGraph) -> None:
        # Their rows may go before they are looked up, and no batch would say so.
        self._waiting = graph.waiting_dependencies()
        self._services: dict[bytes, ServiceRecord | None] = {}
        self._dependencies: dict[bytes, DependencyRecord | None] = {}

    def lots(self, keys: ChangedKeys) -> Iterator[ChangedKeys]:
        """Cut keys into lots that are looked up in a millisecond or less; services first. Drops what lost an end."""
        self._drop_waiting(set(keys.services) if self._waiting else set())
        for services in _slices(keys.services):
            yield ChangedKeys(services, ())
        for dependencies in _slices(keys.dependencies):
            yield ChangedKeys((), dependencies)

    def look_up(self, graph: DependencyGraph, lot: ChangedKeys) -> None:
        """Add the records of a lot. O(keys + degrees of services)."""
        for key in lot.services:
            self._services[key] = graph.find_service(key)
            # What it was called before is not known any more, so its dependencies are told with its name of today.
            for record in graph.dependencies_of(key):
                self._dependencies[cast("bytes", record.key)] = record
        for key in lot.dependencies:
            self._dependencies[key] = graph.find_dependency(key)

    def overlay(self, batch: WatchBatch) -> None:
        """Put what a later batch says over what was gathered."""
        self._services.update((cast("bytes", record.key), record) for record in batch.services)
        self._services.update(dict.fromkeys(batch.removed_services))
        self._dependencies.update((cast("bytes", record.key), record) for record in batch.dependencies)
        self._dependencies.update(dict.fromkeys(batch.removed_dependencies))

    def batch(self, freshness: Freshness) -> WatchBatch:
        """Return everything gathered as one batch; a heartbeat when that is nothing."""
        if not self._services and not self._dependencies:
            return WatchBatch(WatchEvent.HEARTBEAT, freshness)
        return WatchBatch(
            WatchEvent.CHANGES,
            freshness,
            services=[record for record in self._services.values() if record is not None],
            dependencies=[record for record in self._dependencies.values() if record is not None],
            removed_services={key: None for key, record in self._services.items() if record is None},
            removed_dependencies={key: None for key, record in self._dependencies.items() if record is None},
        )

    def _drop_waiting(self, services: set[bytes]) -> None:
        """Drop dependencies that wait, unchanged, for one of these services: they were visible while it was there."""
        for record in self._waiting:
            if record.source in services or record.target in services:
                self._dependencies[cast("bytes", record.key)] = None


def _slices(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(keys)
    while some := list(islice(remaining, _LOT)):
        yield some


# Records looked up at a time.
_LOT = 2_500
# More changed keys than the graph has rows are not worth following one by one; below this, they are.
_FOLLOWED_AT_LEAST = 50_000


class Watches:
    """What ``Watch`` streams from one replica; ``history`` tells what changed before this replica was watched."""

    def __init__(self, replica: Replica, history: ChangeHistory, settings: WatchSettings) -> None:
        self._replica = replica
        self._history = history
        self._settings = settings

    @asynccontextmanager
    async def watch(
        self, since: Revision | None, *, include_state: bool
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        """
        Watch while the context lasts; the batches never end by themselves, and the first one comes at once.

        It leads from ``since`` to now, or resets where that is impossible. The revision of a *write* stands for no snapshot: what
        follows begins at the first snapshot here that holds it, as it does now for None, with the whole graph if ``include_state``.

        Raises ``NotReadyError``, ``ReplicaBehindError`` and ``DatabaseUnavailableError`` at the start, and ``WatcherTooSlowError``
        at any time, whatever the body is waiting for.
        """
        await self._hold(since)
        async with (
            self._replica.subscriptions.opened(self._settings.max_pending_rows) as subscription,
            aclosing(self._batches(subscription, since, include_state=include_state)) as batches,
        ):
            yield batches

    async def _hold(self, since: Revision | None) -> None:
        try:
            await self._replica.at(AtLeastAsFresh(since) if since else MinimizeLatency(), None)
        except RevisionUnknownError:
            # Of another database, or of this one before a crash: there is no way from there, so it begins anew.
            return

    async def _batches(
        self, subscription: Subscription, since: Revision | None, *, include_state: bool
    ) -> AsyncGenerator[WatchBatch, None]:
        if since is not None and since.feed_id != self._feed_id():
            yield await self._whole_graph(subscription)
        elif since is not None and since.snapshot is not None:
            yield await self._resumed(subscription, since.snapshot)
        elif include_state:
            yield await self._whole_graph(subscription)
        else:
            yield self._heartbeat()
        while True:
            # Between a take that found nothing and the freshness of the heartbeat memory can't move.
            yield await subscription.take(self._settings.heartbeat) or self._heartbeat()

    async def _resumed(self, subscription: Subscription, since: Snapshot) -> WatchBatch:
        feed_id, resumed = self._feed_id(), ResumedChanges(self._replica.graph)
        keys = await self._changed(since)
        if keys is None or self._feed_id() != feed_id:
            return await self._whole_graph(subscription)
        for lot in resumed.lots(keys):
            resumed.look_up(self._replica.graph, lot)
            await asyncio.sleep(0)
        # What moved since the subscription began waits in it, and says the rest. From here on nothing is awaited.
        pending = subscription.take_all()
        if any(batch.event is WatchEvent.RESET for batch in pending):
            return await self._whole_graph(subscription)
        for batch in pending:
            resumed.overlay(batch)
        return resumed.batch(self._replica.freshness())

    async def _changed(self, since: Snapshot) -> ChangedKeys | None:
        position = self._replica.position
        if position is None or position.snapshot == since:
            return ChangedKeys((), ())
        at_most = max(_FOLLOWED_AT_LEAST, self._replica.row_count)
        return await self._history.changed(position.feed_id, since, position.snapshot, at_most)

    async def _whole_graph(self, subscription: Subscription) -> WatchBatch:
        """Return all that watchers see, as it is now. O(V + E), but nothing is copied but references; lets others run meanwhile."""
        yielding, services, dependencies = CooperativeYield(), list[ServiceRecord](), list[DependencyRecord]()
        async with self._replica.read_lock():
            # Whatever is published from here on is what moved since.
            subscription.take_all()
            graph = self._replica.graph
            for nodes in graph.service_lots(_LOT):
                services += nodes
                await yielding.checkpoint()
            for edges in graph.dependency_lots(_LOT):
                dependencies += edges
                await yielding.checkpoint()
            return WatchBatch(WatchEvent.RESET, self._replica.freshness(), services, dependencies)

    def _heartbeat(self) -> WatchBatch:
        return WatchBatch(WatchEvent.HEARTBEAT, self._replica.freshness())

    def _feed_id(self) -> str:
        position = self._replica.position
        return position.feed_id if position else ""
