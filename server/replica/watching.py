"""Streams of changes of the graph, each from where its watcher wants to begin."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import islice
from typing import cast

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.concurrency import CooperativeYield
from server.config import WatchSettings
from server.domain.errors import RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh, Freshness, MinimizeLatency
from server.domain.revision import Revision, Snapshot
from server.domain.watching import ChangedKeys, ChangeHistory, WatchBatch, WatchEvent
from server.replica.replica import Replica
from server.replica.subscriptions import Subscription

# Records of the whole graph collected between two checkpoints.
_GRAPH_ROWS = 2_500
# Keys looked up between two awaits: a millisecond or less.
_KEYS = 250
# Sending the whole graph is cheaper than looking up more keys than it has rows, or than this.
_LOOKED_UP_AT_LEAST = 50_000


class Watches:
    """The streams of one replica; ``history`` knows what changed before a watcher subscribed."""

    def __init__(self, replica: Replica, history: ChangeHistory, settings: WatchSettings) -> None:
        self._replica = replica
        self._history = history
        self._settings = settings

    @asynccontextmanager
    async def watch(
        self, since: Revision | None, *, include_state: bool
    ) -> AsyncIterator[AsyncIterator[WatchBatch]]:
        """See ``server.rpc.graph.watch.WatchedGraph``."""
        # A revision of another database, or of this one before a crash: the stream resets.
        with suppress(RevisionUnknownError):
            await self._replica.at(AtLeastAsFresh(since) if since else MinimizeLatency(), None)
        async with (
            self._replica.subscriptions.opened(self._settings.max_pending_rows) as subscription,
            aclosing(self._batches(subscription, since, include_state=include_state)) as batches,
        ):
            yield batches

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
            # The graph can't move between a take that finds nothing and the heartbeat.
            yield await subscription.take(self._settings.heartbeat) or self._heartbeat()

    async def _resumed(self, subscription: Subscription, since: Snapshot) -> WatchBatch:
        feed_id, resumed = self._feed_id(), ResumedChanges(self._replica.graph)
        keys = await self._changed(since)
        if keys is None or self._feed_id() != feed_id:
            return await self._whole_graph(subscription)
        for some in resumed.to_look_up(keys):
            resumed.look_up(self._replica.graph, some)
            await asyncio.sleep(0)
        # The subscription holds what has changed since it was opened. No await from here on.
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
        at_most = max(_LOOKED_UP_AT_LEAST, self._replica.row_count)
        return await self._history.changed(position.feed_id, since, position.snapshot, at_most)

    async def _whole_graph(self, subscription: Subscription) -> WatchBatch:
        """Return all that watchers see, as references to records. O(V + E), in slices."""
        yielding, services, dependencies = CooperativeYield(), list[ServiceRecord](), list[DependencyRecord]()
        async with self._replica.read_lock():
            # Whatever is published from here on comes after this batch.
            subscription.take_all()
            graph = self._replica.graph
            for nodes in graph.service_batches(_GRAPH_ROWS):
                services += nodes
                await yielding.checkpoint()
            for edges in graph.dependency_batches(_GRAPH_ROWS):
                dependencies += edges
                await yielding.checkpoint()
            return WatchBatch(WatchEvent.RESET, self._replica.freshness(), services, dependencies)

    def _heartbeat(self) -> WatchBatch:
        return WatchBatch(WatchEvent.HEARTBEAT, self._replica.freshness())

    def _feed_id(self) -> str:
        position = self._replica.position
        return position.feed_id if position else ""


class ResumedChanges:
    """
    Changed keys with their records in memory (None = deleted), for a watcher that resumes.

    Make it when memory is at the snapshot up to which the keys will be read. Looking them up takes
    several rounds of the event loop, while memory moves on. Overlay every batch published
    meanwhile, in order: then the result is what memory holds at the end.
    """

    def __init__(self, graph: DependencyGraph) -> None:
        # Their rows may be deleted before they are looked up, and no batch would say so.
        self._dangling = graph.dangling_dependencies()
        self._services: dict[bytes, ServiceRecord | None] = {}
        self._dependencies: dict[bytes, DependencyRecord | None] = {}

    def to_look_up(self, keys: ChangedKeys) -> Iterator[ChangedKeys]:
        """Cut keys into parts for ``look_up``, services first."""
        services = set(keys.services) if self._dangling else set()
        for record in self._dangling:
            if record.source in services or record.target in services:
                self._dependencies[cast("bytes", record.key)] = None
        for some in _parts(keys.services):
            yield ChangedKeys(some, ())
        for some in _parts(keys.dependencies):
            yield ChangedKeys((), some)

    def look_up(self, graph: DependencyGraph, keys: ChangedKeys) -> None:
        """Add the records of some keys. O(keys + degrees of services)."""
        for key in keys.services:
            self._services[key] = graph.find_service(key)
            # It may have been renamed, which changes the encoded records of its dependencies.
            for record in graph.dependencies_of(key):
                self._dependencies[cast("bytes", record.key)] = record
        for key in keys.dependencies:
            self._dependencies[key] = graph.find_dependency(key)

    def overlay(self, batch: WatchBatch) -> None:
        """Replace what was looked up by what a later batch says."""
        self._services.update((cast("bytes", record.key), record) for record in batch.services)
        self._services.update(dict.fromkeys(batch.removed_services))
        self._dependencies.update((cast("bytes", record.key), record) for record in batch.dependencies)
        self._dependencies.update(dict.fromkeys(batch.removed_dependencies))

    def batch(self, freshness: Freshness) -> WatchBatch:
        """Return all of it as one batch; a heartbeat when nothing has changed."""
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


def _parts(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(keys)
    while some := list(islice(remaining, _KEYS)):
        yield some
