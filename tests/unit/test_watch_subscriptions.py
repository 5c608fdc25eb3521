"""Pending batches are bounded, and a watcher that falls behind is dropped whatever it does."""

import asyncio
from datetime import timedelta

import pytest

from graphcore import ServiceRecord
from server.domain.errors import WatcherTooSlowError
from server.domain.live_graph import Freshness
from server.domain.watching import WatchBatch, WatchEvent
from server.replica.subscriptions import Subscription, Subscriptions

FRESH = Freshness("revision", timedelta(0))
SOON = timedelta(milliseconds=1)
LONG = timedelta(seconds=30)


def batch(rows: int, event: WatchEvent = WatchEvent.CHANGES) -> WatchBatch:
    return WatchBatch(event, FRESH, services=[ServiceRecord(number, str(number)) for number in range(rows)])


async def test_batches_are_taken_in_order() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        published = [batch(1), batch(2), batch(3)]
        for each in published:
            watchers.publish(each)
        assert [await subscription.take(LONG) for _ in published] == published
        assert await subscription.take(SOON) is None


async def test_a_waiting_watcher_is_woken() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        waiting = asyncio.ensure_future(subscription.take(LONG))
        await asyncio.sleep(0)
        published = batch(1)
        watchers.publish(published)
        assert await waiting is published


async def test_nothing_is_kept_for_closed_subscriptions() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        assert len(watchers) == 1
    assert len(watchers) == 0
    watchers.publish(batch(1))
    assert subscription.take_all() == []


async def test_too_many_rows_interrupt_whatever_the_watcher_does() -> None:
    watchers = Subscriptions()

    async def fall_behind() -> None:
        async with watchers.opened(10) as subscription:
            for _ in range(5):
                watchers.publish(batch(3))
            assert subscription.take_all() == []
            await asyncio.Event().wait()

    with pytest.raises(WatcherTooSlowError, match="more than 10 changed rows") as caught:
        await fall_behind()
    assert caught.value.retry_after > timedelta(0)
    assert len(watchers) == 0


async def test_only_the_slow_one_is_dropped() -> None:
    watchers = Subscriptions()

    async def fall_behind(quick: Subscription) -> None:
        async with watchers.opened(10):
            for _ in range(20):
                watchers.publish(batch(1))
                assert await quick.take(LONG) is not None
            await asyncio.Event().wait()

    async with watchers.opened(10) as quick:
        with pytest.raises(WatcherTooSlowError):
            await fall_behind(quick)
        watchers.publish(batch(1))
        assert await quick.take(LONG) is not None


async def test_rows_that_were_taken_do_not_count() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        for _ in range(5):
            watchers.publish(batch(8))
            assert await subscription.take(LONG) is not None
        watchers.publish(batch(10))
        assert len(subscription.take_all()) == 1


async def test_a_single_batch_may_be_of_any_size() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        watchers.publish(batch(1_000))
        taken = await subscription.take(LONG)
    assert taken is not None
    assert taken.row_count == 1_000


async def test_a_reset_replaces_what_waits_and_weighs_nothing() -> None:
    watchers = Subscriptions()
    async with watchers.opened(10) as subscription:
        watchers.publish(batch(5))
        watchers.publish(batch(1_000, WatchEvent.RESET))
        watchers.publish(batch(10))
        assert [taken.row_count for taken in subscription.take_all()] == [1_000, 10]


async def test_time_that_runs_out_elsewhere_is_not_taken_for_slowness() -> None:
    with pytest.raises(TimeoutError):
        async with Subscriptions().opened(10), asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_a_cancelled_watcher_does_not_count_as_slow() -> None:
    watchers = Subscriptions()

    async def watch() -> None:
        async with watchers.opened(10):
            await asyncio.Event().wait()

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert len(watchers) == 0
