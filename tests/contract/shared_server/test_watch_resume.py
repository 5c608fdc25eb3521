"""Watchers that resume: after a cut, at another replica, after a restart, or too late."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.types_pb2 import Service
from server.config import FeedSettings, Settings, WatchSettings
from server.domain.revision import Revision, Snapshot
from server.feed.change_log import prune
from tests.support.calls import FRESH, Stubs
from tests.support.channels import channel_to_new_server
from tests.support.failures import failure_of
from tests.support.following import log_is_free
from tests.support.watching import CHANGES, HEARTBEAT, RESET, Mirror, Watcher, expected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50)),
    )


async def add(connection: asyncpg.Connection, *names: str) -> None:
    await connection.executemany("INSERT INTO services (service_id) VALUES ($1)", [(name,) for name in names])


async def known_state(channel: grpc.aio.Channel, connection: asyncpg.Connection) -> Mirror:
    """Three services and their dependencies, known to a watcher who then goes away."""
    await Stubs(channel).write_edges("a>b", "b>c", "c>a")
    watcher = Watcher(channel, include_state=True)
    while await expected(connection) != (watcher.mirror.services, watcher.mirror.dependencies):
        await watcher.batch()
    watcher.kill()
    return watcher.mirror


async def change_much(connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE services SET service_id = 'renamed' WHERE service_id = 'a'")
    await connection.execute("DELETE FROM services WHERE service_id = 'b'")
    await add(connection, "d")


async def in_memory(channel: grpc.aio.Channel) -> None:
    """Wait until memory holds what is committed."""
    await Stubs(channel).graph.ListComponents(ListComponentsRequest(consistency=FRESH))


async def test_what_was_missed_comes_as_one_batch_and_nothing_else_does(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    await change_much(connection)
    watcher = Watcher(channel, mirror, revision=mirror.revision)
    while (mirror.services, mirror.dependencies) != await expected(connection):
        assert (await watcher.batch()).event in {CHANGES, HEARTBEAT}
    assert (await watcher.batch()).event == HEARTBEAT
    assert mirror.resets == 1


async def test_resuming_without_missed_changes_gives_a_heartbeat(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    assert (await Watcher(channel, mirror, revision=mirror.revision).batch()).event == HEARTBEAT


async def test_rows_that_are_gone_meanwhile_are_known_by_their_ids(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    [gone] = [key for key, service in mirror.services.items() if service.service_id == "b"]
    await connection.execute("DELETE FROM services WHERE service_id = 'b'")
    batch = await Watcher(channel, mirror, revision=mirror.revision).changes()
    assert gone in {removed.id for removed in batch.removed_services}
    assert len(batch.removed_dependencies) == 2


async def test_a_watcher_goes_on_at_another_replica(
    channel: grpc.aio.Channel, connection: asyncpg.Connection, server_settings: Settings
) -> None:
    mirror = await known_state(channel, connection)
    async with channel_to_new_server(server_settings) as other:
        await change_much(connection)
        watcher = Watcher(other, mirror, revision=mirror.revision)
        while (mirror.services, mirror.dependencies) != await expected(connection):
            await watcher.batch()
        watcher.kill()
        await add(connection, "e")
    back = Watcher(channel, mirror, revision=mirror.revision)
    while (mirror.services, mirror.dependencies) != await expected(connection):
        await back.batch()
    assert mirror.resets == 1


async def test_a_watcher_goes_on_after_a_restart_of_the_server(
    connection: asyncpg.Connection, server_settings: Settings
) -> None:
    async with channel_to_new_server(server_settings) as before:
        mirror = await known_state(before, connection)
    await change_much(connection)
    async with channel_to_new_server(server_settings) as after:
        await Watcher(after, mirror, revision=mirror.revision).batch()
        assert (mirror.services, mirror.dependencies) == await expected(connection)
    assert mirror.resets == 1


async def test_dependencies_without_an_end_leave_the_stream_and_come_back(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    saved = await connection.fetchrow("SELECT * FROM services WHERE service_id = 'b'")
    assert saved is not None
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = 'replica'")
        await connection.execute("DELETE FROM services WHERE service_id = 'b'")
    watcher = Watcher(channel, mirror, revision=mirror.revision)
    while (mirror.services, mirror.dependencies) != await expected(connection):
        await watcher.batch()
    assert len(mirror.dependencies) == 1
    await connection.copy_records_to_table(
        "services", records=[tuple(saved.values())], columns=list(saved.keys())
    )
    while (mirror.services, mirror.dependencies) != await expected(connection):
        await watcher.batch()
    assert len(mirror.dependencies) == 3


async def test_resuming_after_the_log_was_pruned_resets(
    channel: grpc.aio.Channel, connection: asyncpg.Connection, database_url: str
) -> None:
    mirror = await known_state(channel, connection)
    await change_much(connection)
    # A replica without the changes is at the watcher's snapshot and needs no log.
    await in_memory(channel)
    await log_is_free(connection)
    # The second goes as far as the first was.
    await prune(database_url, FeedSettings(max_log_rows=0))
    await prune(database_url, FeedSettings(max_log_rows=0))
    watcher = Watcher(channel, mirror, revision=mirror.revision)
    assert (await watcher.batch()).event == RESET
    while (mirror.services, mirror.dependencies) != await expected(connection):
        await watcher.batch()


async def test_resuming_after_a_truncate_resets(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    await connection.execute("TRUNCATE service_dependencies")
    await in_memory(channel)
    assert (await Watcher(channel, mirror, revision=mirror.revision).batch()).event == RESET
    assert (len(mirror.services), len(mirror.dependencies)) == (3, 0)


async def test_after_another_incarnation_open_streams_go_on_and_resumed_ones_reset(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    stayed = Watcher(channel, include_state=True)
    before = (await stayed.batch()).freshness.revision
    await connection.execute("UPDATE depgraph_feed.incarnation SET id = gen_random_uuid()")
    await add(connection, "d")
    feed_id = Revision.parse(before).feed_id
    while Revision.parse(stayed.mirror.revision).feed_id == feed_id or len(stayed.mirror.services) != 4:
        await stayed.batch()
    assert stayed.mirror.resets == 1
    left = Watcher(channel, mirror, revision=mirror.revision)
    assert (await left.batch()).event == RESET
    assert (mirror.services, mirror.dependencies) == await expected(connection)


async def test_a_revision_of_another_database_begins_anew(channel: grpc.aio.Channel) -> None:
    elsewhere = Revision.of("1:2:00000000-0000-0000-0000-000000000003/5:5:").token
    assert (await Watcher(channel, revision=elsewhere).batch()).event == RESET


async def test_the_revision_of_a_write_begins_where_the_write_is_held(channel: grpc.aio.Channel) -> None:
    request = catalog.CreateServiceRequest(service=Service(service_id="a"))
    written = await Stubs(channel).catalog.CreateService(request)
    first = await Watcher(channel, revision=written.revision).batch()
    assert first.event == HEARTBEAT
    snapshot = Revision.parse(first.freshness.revision).snapshot
    assert snapshot is not None
    assert Revision.parse(written.revision).held_by(snapshot)
    with_state = Watcher(channel, revision=written.revision, include_state=True)
    assert (await with_state.batch()).event == RESET
    assert list(with_state.mirror.services.values()) == [written.service]


async def test_a_revision_that_the_replica_does_not_reach_in_time_is_unavailable(
    server_settings: Settings,
) -> None:
    impatient = replace(server_settings, feed=FeedSettings(longest_wait=timedelta(milliseconds=300)))
    async with channel_to_new_server(impatient) as channel:
        first = await Watcher(channel).batch()
        now = Revision.parse(first.freshness.revision)
        assert now.snapshot is not None
        later = now.snapshot.xmax + 1_000_000
        ahead = Revision(now.feed_id, snapshot=Snapshot.parse(f"{later}:{later}:")).token
        failure = await failure_of(Watcher(channel, revision=ahead).stream.read())
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "REPLICA_BEHIND")


@pytest.mark.parametrize("snapshot", ["9:5:", "1:5:4,2", "1:5:,,", "0:0:"])
async def test_a_snapshot_that_makes_no_sense_is_refused(channel: grpc.aio.Channel, snapshot: str) -> None:
    first = await Watcher(channel).batch()
    feed_id = Revision.parse(first.freshness.revision).feed_id
    forged = Revision(feed_id, snapshot=Snapshot(snapshot, 1, 5, frozenset())).token
    failure = await failure_of(Watcher(channel, revision=forged).stream.read())
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REVISION")


async def test_changes_made_while_a_watcher_comes_back_are_neither_lost_nor_repeated(
    channel: grpc.aio.Channel, connection: asyncpg.Connection
) -> None:
    mirror = await known_state(channel, connection)
    writing = asyncio.ensure_future(add(connection, *[f"s{number}" for number in range(300)]))
    while not writing.done():
        watcher = Watcher(channel, mirror, revision=mirror.revision)
        await watcher.batch()
        await watcher.batch()
        watcher.kill()
    await writing
    last = Watcher(channel, mirror, revision=mirror.revision)
    while (mirror.services, mirror.dependencies) != await expected(connection):
        await last.batch()
    assert mirror.resets == 1
