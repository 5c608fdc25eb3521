"""No I/O: what watchers get of a step or a reload, computed from memory before and after."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import pytest

from graphcore import DependencyRecord
from server.domain.changes import ChangesDoNotFitError, TableBatch
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.domain.watching import WatchBatch, WatchEvent
from server.replica import Replica
from server.replica import replica as moving
from server.replica.subscriptions import Subscription
from tests.support.batches import service_batch
from tests.support.following import dependency_of, service_of
from tests.support.watched_rows import changes, dependency, reload, service, shown, step, visible

Heard = Callable[[], WatchBatch]


@pytest.fixture
async def replica() -> Replica:
    """A replica that holds s1 → s2 → s3 as dependencies 12 and 23."""
    warm = Replica(timedelta(seconds=1))
    await reload(warm, service(1), service(2), service(3), dependency(12, 1, 2), dependency(23, 2, 3))
    return warm


@pytest.fixture
async def subscription(replica: Replica) -> AsyncIterator[Subscription]:
    async with replica.subscriptions.opened(1_000) as opened:
        yield opened


@pytest.fixture
def heard(subscription: Subscription, replica: Replica) -> Heard:
    """The one batch since the last call; it carries the replica's revision."""

    def only() -> WatchBatch:
        [batch] = subscription.take_all()
        assert batch.freshness.revision == replica.freshness().revision
        return batch

    return only


def services(batch: WatchBatch) -> list[str]:
    return [service_of(record).service_id for record in batch.services]


def dependencies(batch: WatchBatch) -> list[tuple[str, str]]:
    return [ends(record) for record in batch.dependencies]


def lost(batch: WatchBatch) -> list[tuple[str, str]]:
    return [ends(record) for record in batch.removed_dependencies.values() if record is not None]


def ends(record: DependencyRecord) -> tuple[str, str]:
    dependency = dependency_of(record)
    return dependency.source_service_id, dependency.target_service_id


def key(number: int) -> bytes:
    return UUID(int=number).bytes


async def test_new_rows_are_upserted(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(service(4), dependency(34, 3, 4)))
    batch = heard()
    assert (batch.event, services(batch), dependencies(batch)) == (WatchEvent.CHANGES, ["s4"], [("s3", "s4")])
    assert batch.row_count == 2


async def test_a_changed_row_is_upserted_alone(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(service(2, team="x")))
    batch = heard()
    assert (services(batch), dependencies(batch)) == (["s2"], [])
    await step(replica, changes(dependency(12, 1, 2, timeout_ms=5)))
    batch = heard()
    assert (services(batch), dependencies(batch)) == ([], [("s1", "s2")])


async def test_a_key_with_an_unchanged_row_publishes_nothing(
    replica: Replica, subscription: Subscription
) -> None:
    await step(replica, changes(service(2), dependency(12, 1, 2), gone=(99,)))
    assert subscription.take_all() == []


async def test_a_new_name_upserts_every_dependency_of_the_service(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(service(2, "new")))
    batch = heard()
    assert services(batch) == ["new"]
    assert sorted(dependencies(batch)) == [("new", "s3"), ("s1", "new")]
    assert batch.removed_dependencies == {}


async def test_services_that_swap_names_are_both_upserted(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(service(1, "s3"), service(3, "s1")))
    batch = heard()
    assert sorted(services(batch)) == ["s1", "s3"]
    assert sorted(dependencies(batch)) == [("s2", "s1"), ("s3", "s2")]


async def test_removed_rows_come_with_the_names_they_had(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(service(1, "other"), gone=(2, 12, 23)))
    batch = heard()
    assert {gone: former and former.name for gone, former in batch.removed_services.items()} == {key(2): "s2"}
    assert lost(batch) == [("s1", "s2"), ("s2", "s3")]


async def test_dependencies_that_lose_an_end_are_removed_and_join_again_with_it(
    replica: Replica, heard: Heard
) -> None:
    await step(replica, changes(gone=(2,)))
    batch = heard()
    assert list(batch.removed_services) == [key(2)]
    assert sorted(lost(batch)) == [("s1", "s2"), ("s2", "s3")]
    await step(replica, changes(service(2, "back")))
    batch = heard()
    assert services(batch) == ["back"]
    assert sorted(dependencies(batch)) == [("back", "s3"), ("s1", "back")]


async def test_a_waiting_dependency_is_not_published(replica: Replica, subscription: Subscription) -> None:
    await step(replica, changes(dependency(19, 1, 9), dependency(11, 1, 1)))
    await step(replica, changes(gone=(19, 11)))
    assert subscription.take_all() == []


async def test_a_dependency_that_moves_to_a_missing_end_is_removed(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(dependency(12, 1, 9)))
    batch = heard()
    assert (lost(batch), dependencies(batch)) == ([("s1", "s2")], [])


async def test_a_dependency_that_moves_to_another_end_is_upserted(replica: Replica, heard: Heard) -> None:
    await step(replica, changes(dependency(12, 3, 1)))
    batch = heard()
    assert (lost(batch), dependencies(batch)) == ([], [("s3", "s1")])


async def test_a_step_that_does_not_fit_publishes_nothing(
    replica: Replica, subscription: Subscription
) -> None:
    with pytest.raises(ChangesDoNotFitError):
        await step(replica, changes(service(4, "s1")))
    assert subscription.take_all() == []


SAME: tuple[Service | DependencyRow, ...] = (
    service(1),
    service(2),
    service(3),
    dependency(12, 1, 2),
    dependency(23, 2, 3),
)


async def test_reading_the_same_rows_again_publishes_nothing(
    replica: Replica, subscription: Subscription
) -> None:
    await reload(replica, *SAME)
    assert subscription.take_all() == []


async def test_a_reload_publishes_what_differs(replica: Replica, heard: Heard) -> None:
    await reload(
        replica,
        service(1, team="x"),
        service(3, "new"),
        service(4),
        dependency(23, 2, 3),
        dependency(34, 3, 4),
        dependency(13, 1, 3),
    )
    batch = heard()
    assert batch.event is WatchEvent.CHANGES
    assert services(batch) == ["s1", "new", "s4"]
    assert dependencies(batch) == [("new", "s4"), ("s1", "new")]
    assert list(batch.removed_services) == [key(2)]
    assert sorted(lost(batch)) == [("s1", "s2"), ("s2", "s3")]


async def test_a_reload_with_a_new_name_upserts_unchanged_dependencies(
    replica: Replica, heard: Heard
) -> None:
    await reload(replica, service(1), service(2, "new"), service(3), *SAME[3:])
    batch = heard()
    assert (services(batch), sorted(dependencies(batch))) == (["new"], [("new", "s3"), ("s1", "new")])


async def test_a_first_watcher_during_a_reload_gets_what_differs(replica: Replica) -> None:
    position = replica.position
    assert position is not None
    async with AsyncExitStack() as stack:
        opened = list[Subscription]()

        async def batches() -> AsyncIterator[TableBatch]:
            yield service_batch([service(1), service(5)])
            opened.append(await stack.enter_async_context(replica.subscriptions.opened(10)))

        replica.snapshot_begins()
        await replica.load(batches(), position)
        [batch] = opened[0].take_all()
    assert (batch.event, services(batch)) == (WatchEvent.CHANGES, ["s5"])
    assert sorted(batch.removed_services) == [key(2), key(3)]
    assert sorted(lost(batch)) == [("s1", "s2"), ("s2", "s3")]


async def test_a_first_watcher_while_a_step_waits_for_readers_gets_the_step(
    replica: Replica,
) -> None:
    async with replica.read_lock():
        stepping = asyncio.create_task(step(replica, changes(service(2, team="x"))))
        await asyncio.sleep(0)
        opened = replica.subscriptions.opened(10)
        subscription = await opened.__aenter__()
    await stepping
    [batch] = subscription.take_all()
    await opened.__aexit__(None, None, None)
    assert services(batch) == ["s2"]


async def test_a_step_applied_to_a_copy_publishes_the_same(
    replica: Replica, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "IN_PLACE", 0)
    former = replica.graph
    await step(replica, changes(service(2, "new"), service(4), dependency(34, 3, 4), gone=(1, 12)))
    batch = heard()
    assert replica.graph is not former
    assert (services(batch), dependencies(batch)) == (["new", "s4"], [("s3", "s4"), ("new", "s3")])
    assert (list(batch.removed_services), lost(batch)) == ([key(1)], [("s1", "s2")])
    assert visible(replica) == shown(
        [service(2, "new"), service(3), service(4), dependency(23, 2, 3), dependency(34, 3, 4)]
    )


async def test_all_watchers_share_one_batch(replica: Replica, subscription: Subscription) -> None:
    async with replica.subscriptions.opened(10) as other:
        await step(replica, changes(service(4)))
        assert other.take_all()[0] is subscription.take_all()[0]


async def test_batches_fold_into_memory(replica: Replica, subscription: Subscription) -> None:
    mirror = visible(replica)
    await step(replica, changes(service(2, "x"), dependency(13, 1, 3), gone=(23,)))
    await reload(replica, service(2, "y"), service(3), dependency(32, 3, 2))
    for batch in subscription.take_all():
        mirror.fold(batch)
    assert mirror == visible(replica)
    assert mirror == shown([service(2, "y"), service(3), dependency(32, 3, 2)])
