"""Watch over a real channel: batches, their order, and how streams begin and end."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL, Service
from server.app import Application
from server.config import Limits, Settings, WatchSettings
from server.domain.revision import Revision
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import failure_of
from tests.support.watching import CHANGES, HEARTBEAT, RESET, Watcher, expected

SQL_EDGE = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync' FROM services AS a, services AS b WHERE a.service_id = $1 AND b.service_id = $2
"""


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50)),
        limits=Limits(max_part_bytes=2_000),
    )


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def revision_now(stubs: Stubs) -> str:
    answer = await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    return answer.freshness.revision


def is_reached(revision: str, by: str) -> bool:
    """
    Tell whether one answer's revision holds another's.

    Transactions of other databases of the same server move revisions too, so two answers in a row
    need not have the same.
    """
    snapshot = Revision.parse(by).snapshot
    return snapshot is not None and Revision.parse(revision).held_by(snapshot)


async def watching(channel: grpc.aio.Channel) -> Watcher:
    """Begin a watch now, its first heartbeat read."""
    watcher = Watcher(channel)
    assert (await watcher.batch()).event == HEARTBEAT
    return watcher


async def test_a_watch_begins_with_a_revision_to_resume_from(
    channel: grpc.aio.Channel, stubs: Stubs, application: Application
) -> None:
    before = await revision_now(stubs)
    watcher = Watcher(channel)
    first = await watcher.batch()
    assert first.event == HEARTBEAT
    assert is_reached(before, first.freshness.revision)
    assert is_reached(first.freshness.revision, await revision_now(stubs))


async def test_what_a_call_writes_is_heard_with_everything_it_holds(
    channel: grpc.aio.Channel, stubs: Stubs
) -> None:
    watcher = await watching(channel)
    written = await stubs.catalog.CreateService(
        catalog.CreateServiceRequest(service=Service(service_id="a", team="payments"))
    )
    batch = await watcher.changes()
    assert batch.event == CHANGES
    assert list(batch.upserted_services) == [written.service]
    [edge] = await stubs.write_edges("a>b", protocol="grpc", timeout_ms=250)
    await asyncio.wait_for(_until_dependencies(watcher, 1), 30)
    assert list(watcher.mirror.dependencies.values()) == [edge]


async def _until_dependencies(watcher: Watcher, count: int) -> None:
    while len(watcher.mirror.dependencies) != count:
        await watcher.batch()


async def test_one_transaction_of_plain_sql_is_one_batch(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('a'), ('b'), ('gone')")
    watcher = Watcher(channel, include_state=True)
    while len(watcher.mirror.services) != 3:
        await watcher.batch()
    async with connection.transaction():
        await connection.execute("INSERT INTO services (service_id) VALUES ('c')")
        await connection.execute(SQL_EDGE, "a", "b")
        await connection.execute(SQL_EDGE, "b", "c")
        await connection.execute("DELETE FROM services WHERE service_id = 'gone'")
    batch = await watcher.changes()
    assert [service.service_id for service in batch.upserted_services] == ["c"]
    assert [service.service_id for service in batch.removed_services] == ["gone"]
    ends = {(edge.source_service_id, edge.target_service_id) for edge in batch.upserted_dependencies}
    assert ends == {("a", "b"), ("b", "c")}
    assert (watcher.mirror.services, watcher.mirror.dependencies) == await expected(connection)


async def test_a_renamed_service_brings_its_dependencies_along(
    channel: grpc.aio.Channel, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a")
    await revision_now(stubs)
    watcher = Watcher(channel, include_state=True)
    await watcher.batch()
    await connection.execute("UPDATE services SET service_id = 'new name' WHERE service_id = 'a'")
    batch = await watcher.changes()
    assert [service.service_id for service in batch.upserted_services] == ["new name"]
    ends = {(edge.source_service_id, edge.target_service_id) for edge in batch.upserted_dependencies}
    assert ends == {("new name", "b"), ("c", "new name")}


async def test_a_deleted_service_takes_its_dependencies_with_it(
    channel: grpc.aio.Channel, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    edges = await stubs.write_edges("a>b", "b>c")
    await revision_now(stubs)
    watcher = await watching(channel)
    await connection.execute("DELETE FROM services WHERE service_id = 'b'")
    batch = await watcher.changes()
    assert [gone.service_id for gone in batch.removed_services] == ["b"]
    assert {gone.id for gone in batch.removed_dependencies} == {edge.id for edge in edges}
    [to_b] = [gone for gone in batch.removed_dependencies if gone.source_service_id == "a"]
    assert (to_b.target_service_id, to_b.discovery_source) == ("b", DISCOVERY_SOURCE_MANUAL)


async def test_a_truncated_table_is_heard_row_by_row(
    channel: grpc.aio.Channel, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    edges = await stubs.write_edges("a>b", "b>c")
    await revision_now(stubs)
    watcher = await watching(channel)
    await connection.execute("TRUNCATE service_dependencies")
    batch = await watcher.changes()
    assert batch.event == CHANGES
    assert {gone.id for gone in batch.removed_dependencies} == {edge.id for edge in edges}
    assert not batch.removed_services
    assert not batch.upserted_services


async def test_what_comes_and_goes_between_two_snapshots_is_not_heard(
    channel: grpc.aio.Channel, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    watcher = await watching(channel)
    async with connection.transaction():
        await connection.execute("INSERT INTO services (service_id) VALUES ('came and went')")
        await connection.execute("DELETE FROM services WHERE service_id = 'came and went'")
    after = await revision_now(stubs)
    seen = [await watcher.batch()]
    while not is_reached(after, seen[-1].freshness.revision):
        seen.append(await watcher.batch())
    assert {batch.event for batch in seen} == {HEARTBEAT}


async def test_include_state_begins_with_the_whole_graph_in_parts(
    channel: grpc.aio.Channel, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    names = [f"service-{number}" for number in range(40)]
    await stubs.write_edges(*[f"{a}>{b}" for a, b in pairwise(names)])
    await revision_now(stubs)
    watcher = Watcher(channel, include_state=True)
    parts = [await watcher.stream.read()]
    while isinstance(parts[-1], pb.WatchResponse) and parts[-1].more:
        parts.append(await watcher.stream.read())
    messages = [part for part in parts if isinstance(part, pb.WatchResponse)]
    assert len(messages) > 3
    assert {message.event for message in messages} == {RESET}
    assert all(message.ByteSize() <= 2_000 for message in messages)
    assert [message.HasField("freshness") for message in messages] == [False] * (len(messages) - 1) + [True]
    watcher.parts = messages
    await watcher.batch()
    assert (watcher.mirror.services, watcher.mirror.dependencies) == await expected(connection)


async def test_a_row_larger_than_a_part_comes_alone(channel: grpc.aio.Channel, stubs: Stubs) -> None:
    watcher = await watching(channel)
    large = Service(service_id="large")
    large.metadata.update({"text": "x" * 5_000})
    request = catalog.BatchUpsertServicesRequest(
        services=[Service(service_id="a"), large, Service(service_id="b")]
    )
    await stubs.catalog.BatchUpsertServices(request)
    parts: list[pb.WatchResponse] = []
    while not parts or parts[-1].more:
        part = await watcher.stream.read()
        assert isinstance(part, pb.WatchResponse)
        parts += [part] * (part.event == CHANGES)
    assert [len(part.upserted_services) for part in parts if part.ByteSize() > 2_000] == [1]
    assert sum(len(part.upserted_services) for part in parts) == 3


async def test_heartbeats_carry_the_present_revision(channel: grpc.aio.Channel, stubs: Stubs) -> None:
    before = await revision_now(stubs)
    watcher = await watching(channel)
    beats = [await watcher.batch() for _ in range(3)]
    assert {beat.event for beat in beats} == {HEARTBEAT}
    assert is_reached(before, beats[-1].freshness.revision)
    assert is_reached(beats[-1].freshness.revision, await revision_now(stubs))


async def test_an_empty_graph_is_state_too(channel: grpc.aio.Channel) -> None:
    watcher = Watcher(channel, include_state=True)
    assert (await watcher.batch()).event == RESET
    assert watcher.mirror.services == {}


@pytest.mark.parametrize("revision", ["nonsense", "x" * 20_000, "MTIz"])
async def test_what_is_no_revision_is_refused(channel: grpc.aio.Channel, revision: str) -> None:
    failure = await failure_of(Watcher(channel, revision=revision).stream.read())
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REVISION")
    assert set(failure.fields) == {"revision"}


async def test_a_watcher_that_disconnects_leaves_nothing_behind(
    channel: grpc.aio.Channel, application: Application
) -> None:
    watchers = [await watching(channel) for _ in range(5)]
    assert len(application.replica.subscriptions) == 5
    for watcher in watchers:
        watcher.kill()
    await eventually(lambda: len(application.replica.subscriptions) == 0)


async def test_a_deadline_ends_a_watch(channel: grpc.aio.Channel, application: Application) -> None:
    stream = Stubs(channel).graph.Watch(pb.WatchRequest(), timeout=0.2)

    async def read_on() -> None:
        async for _ in stream:
            pass

    failure = await failure_of(read_on())
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: len(application.replica.subscriptions) == 0)


async def test_watchers_do_not_delay_the_stop_and_get_unavailable(database_url: str) -> None:
    settings = Settings(
        listen="127.0.0.1:0", database_url=database_url, limits=Limits(grace=timedelta(hours=1))
    )
    async with (
        Application(settings, report=lambda _: None) as running,
        open_channel(running.address) as channel,
    ):
        watcher = await watching(channel)
        async with asyncio.timeout(30):
            await running.__aexit__(None, None, None)
        failure = await failure_of(watcher.stream.read())
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    assert failure.retry_after is not None
