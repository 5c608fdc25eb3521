"""Batches of changes as messages, each batch encoded once for all watchers."""

import asyncio
import gc
from datetime import timedelta
from uuid import UUID

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL
from graphcore import DependencyRecord, ServiceRecord
from server import wire
from server.domain.live_graph import Freshness
from server.domain.watching import WatchBatch, WatchEvent
from server.replica.records import node_of
from server.rpc.graph.watch import WatchParts, encoded_parts
from tests.support.watched_rows import dependency, service

FRESHNESS = Freshness("r" * 80, timedelta(milliseconds=7))


def a_service(number: int, team: str | None = None) -> ServiceRecord:
    return node_of(service(number, team=team))


def a_dependency(number: int, source: str = "one", target: str = "two") -> DependencyRecord:
    row = dependency(number, 1, 2)
    return DependencyRecord(
        row.id.bytes,
        row.source.bytes,
        row.target.bytes,
        payload=wire.dependency_record(row, source, target),
    )


def key(number: int) -> bytes:
    return UUID(int=number).bytes


def changes(services: int = 1, dependencies: int = 1) -> WatchBatch:
    return WatchBatch(
        WatchEvent.CHANGES,
        FRESHNESS,
        services=[a_service(number + 1) for number in range(services)],
        dependencies=[a_dependency(number + 1_000) for number in range(dependencies)],
        removed_services={key(7): node_of(service(7, "seven")), key(8): None},
        removed_dependencies={key(77): a_dependency(77, "former two", "former one"), key(88): None},
    )


async def parts_of(batch: WatchBatch, max_bytes: int = 1_000_000) -> list[pb.WatchResponse]:
    parts = [part async for part in encoded_parts(batch, max_bytes)]
    return list(map(pb.WatchResponse.FromString, parts))


async def test_a_small_batch_is_one_part() -> None:
    [part] = await parts_of(changes())
    assert (part.event, part.more) == (pb.WATCH_EVENT_CHANGES, False)
    assert part.freshness.revision == FRESHNESS.revision
    assert part.upserted_services[0].service_id == "s1"
    [edge] = part.upserted_dependencies
    assert (edge.source_service_id, edge.target_service_id) == ("one", "two")
    assert [gone.service_id for gone in part.removed_services] == ["seven", ""]
    known, unknown = part.removed_dependencies
    assert (known.source_service_id, known.target_service_id) == ("former two", "former one")
    assert known.discovery_source == DISCOVERY_SOURCE_MANUAL
    assert unknown == pb.RemovedDependency(id=str(UUID(int=88)))


async def test_a_large_batch_is_cut_without_losing_a_row() -> None:
    batch = changes(services=300, dependencies=700)
    parts = await parts_of(batch, 4_000)
    assert all(part.ByteSize() <= 4_000 for part in parts)
    assert all(part.ByteSize() > 3_000 for part in parts[:-1])
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert [part.HasField("freshness") for part in parts] == [False] * (len(parts) - 1) + [True]
    whole = pb.WatchResponse()
    for part in parts:
        whole.MergeFrom(part)
    [uncut] = await parts_of(batch)
    whole.more = False
    assert whole == uncut


async def test_a_row_larger_than_a_part_comes_alone() -> None:
    rows = [a_service(1), a_service(2, team="x" * 3_000), a_service(3)]
    parts = await parts_of(WatchBatch(WatchEvent.CHANGES, FRESHNESS, services=rows), 1_000)
    assert [[row.service_id for row in part.upserted_services] for part in parts] == [["s1"], ["s2"], ["s3"]]


async def test_an_empty_graph_is_one_part() -> None:
    [part] = await parts_of(WatchBatch(WatchEvent.RESET, FRESHNESS))
    assert (part.event, part.more, part.HasField("freshness")) == (pb.WATCH_EVENT_RESET, False, True)


async def test_other_tasks_run_while_a_batch_is_encoded() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    many = WatchBatch(WatchEvent.CHANGES, FRESHNESS, dependencies=[a_dependency(1)] * 200_000)
    assert [part async for part in encoded_parts(many, 1_000_000)]
    counting.cancel()
    assert turns > 5


async def test_watchers_share_the_messages_of_a_batch_even_if_one_leaves() -> None:
    shared, batch = WatchParts(1_000_000), changes(dependencies=1_000)

    async def read() -> list[bytes]:
        return [part async for part in shared.of(batch)]

    leaving, first, second = (asyncio.ensure_future(read()) for _ in range(3))
    await asyncio.sleep(0)
    leaving.cancel()
    (one,), (same,) = await first, await second
    assert one is same
    assert leaving.cancelled()


async def test_messages_are_dropped_with_their_batch() -> None:
    shared, batch = WatchParts(1_000_000), changes()
    assert [part async for part in shared.of(batch)]
    assert len(shared._encoded) == 1
    del batch
    gc.collect()
    assert len(shared._encoded) == 0


async def test_messages_of_a_reset_are_not_kept() -> None:
    shared, batch = WatchParts(1_000_000), WatchBatch(WatchEvent.RESET, FRESHNESS, services=[a_service(1)])
    assert [part async for part in shared.of(batch)]
    assert len(shared._encoded) == 0
