"""Streams of what changes in memory, each from where its watcher wants to begin."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from graphcore import DependencyRecord, ServiceRecord
from server.config import WatchSettings
from server.domain.consistency import AtLeastAsFresh, MinimizeLatency
from server.domain.errors import RevisionUnknownError
from server.domain.revision import Revision, Snapshot
from server.domain.watching import ChangedKeys, ChangeHistory, WatchBatch, WatchEvent
from server.replica.gathering import Gathering
from server.replica.replica import Replica
from server.replica.subscriptions import Subscription
from server.turns import Turns

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
        feed_id, gathering = self._feed_id(), Gathering(self._replica.graph)
        keys = await self._changed(since)
        if keys is None or self._feed_id() != feed_id:
            return await self._whole_graph(subscription)
        for lot in gathering.lots(keys):
            gathering.look_up(self._replica.graph, lot)
            await asyncio.sleep(0)
        # What moved since the subscription began waits in it, and says the rest. From here on nothing is awaited.
        pending = subscription.take_all()
        if any(batch.event is WatchEvent.RESET for batch in pending):
            return await self._whole_graph(subscription)
        for batch in pending:
            gathering.overlay(batch)
        return gathering.batch(self._replica.freshness())

    async def _changed(self, since: Snapshot) -> ChangedKeys | None:
        position = self._replica.position
        if position is None or position.snapshot == since:
            return ChangedKeys((), ())
        at_most = max(_FOLLOWED_AT_LEAST, self._replica.row_count)
        return await self._history.changed(position.feed_id, since, position.snapshot, at_most)

    async def _whole_graph(self, subscription: Subscription) -> WatchBatch:
        """Return all that watchers see, as it is now. O(V + E), but nothing is copied but references; lets others run meanwhile."""
        turns, services, dependencies = Turns(), list[ServiceRecord](), list[DependencyRecord]()
        async with self._replica.still():
            # Whatever is published from here on is what moved since.
            subscription.take_all()
            graph = self._replica.graph
            for nodes in graph.service_lots(_LOT):
                services += nodes
                await turns.next()
            for edges in graph.dependency_lots(_LOT):
                dependencies += edges
                await turns.next()
            return WatchBatch(WatchEvent.RESET, self._replica.freshness(), services, dependencies)

    def _heartbeat(self) -> WatchBatch:
        return WatchBatch(WatchEvent.HEARTBEAT, self._replica.freshness())

    def _feed_id(self) -> str:
        position = self._replica.position
        return position.feed_id if position else ""
