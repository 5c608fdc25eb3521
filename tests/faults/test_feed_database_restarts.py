"""The database itself goes away and comes back, in order or by a crash."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from server.domain.errors import NotReadyError, RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh, MinimizeLatency
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.eventually import eventually
from tests.support.following import PATIENCE, assert_caught_up, feeding
from tests.support.scene import QUICK, Record, Scene, connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

BRIEFLY = timedelta(milliseconds=500)


async def test_after_a_clean_restart_the_feed_goes_on_where_it_was(
    own_postgres: EmbeddedPostgres, own_scene: Scene
) -> None:
    await truncate_no_more(own_scene)
    before, warms, revision = (
        own_scene.feed_id,
        own_scene.replica.status().warm_count,
        await own_scene.revision(),
    )
    await own_postgres.stop()
    await own_scene.goes_stale(BRIEFLY)
    await own_postgres.start()
    await own_scene.recovers("clean restart, from the start")
    assert own_scene.feed_id == before
    assert own_scene.replica.status().warm_count == warms
    await own_scene.replica.at(AtLeastAsFresh(revision), PATIENCE)


async def test_after_a_crash_everything_is_read_again_and_old_revisions_are_refused(
    own_postgres: EmbeddedPostgres, own_scene: Scene
) -> None:
    before, warms, revision = (
        own_scene.feed_id,
        own_scene.replica.status().warm_count,
        await own_scene.revision(),
    )
    await own_postgres.crash()
    await own_scene.goes_stale(BRIEFLY)
    await own_postgres.start()
    await own_scene.recovers("crash, from the start")
    assert own_scene.feed_id != before
    assert own_scene.replica.status().warm_count > warms
    with pytest.raises(RevisionUnknownError):
        await own_scene.replica.at(AtLeastAsFresh(revision), PATIENCE)


async def test_a_transaction_id_reused_after_a_crash_is_harmless(
    reachable_folder: Path, seed: int, record: Record
) -> None:
    # The end of a transaction without writes stays in memory so long, and a crash forgets it.
    settings = {"wal_writer_delay": "10s"}
    async with EmbeddedPostgres(reachable_folder / "database", durable=False, settings=settings) as server:
        await migrate.upgrade(server.url)
        async with Scene.opened(server.url, seed, record) as scene:
            await scene.quiet()
            await scene.caught_up()
            last = await burn_transaction_ids(server.url, 50)
            await scene.replica.at(AtLeastAsFresh(last_revision := await scene.revision()), PATIENCE)
            held = scene.replica.position
            scene.proxy.reset_links()
            scene.proxy.fall_silent()
            await server.crash()
            await server.start()
            again = await write_services(server.url, 20)
            if again[0] > last:
                pytest.skip("the server remembered the ids over the crash")
            assert held is not None
            assert held.snapshot.sees(again[0]), (
                "a cursor of numbers alone would take this write for an old one"
            )
            scene.proxy.heal()
            await scene.recovers("crash with transaction ids issued again, from the network's return")
            assert scene.replica.graph.has_service("again-0")
            with pytest.raises(RevisionUnknownError):
                await scene.replica.at(AtLeastAsFresh(last_revision), PATIENCE)


async def test_a_replica_started_before_its_database_becomes_warm_when_it_comes(
    own_postgres: EmbeddedPostgres, record: Record
) -> None:
    await write_services(own_postgres.url, 3)
    await own_postgres.stop()
    async with feeding(own_postgres.url, QUICK) as replica:
        await asyncio.sleep(0.3)
        with pytest.raises(NotReadyError):
            await replica.at(MinimizeLatency(), None)
        await own_postgres.start()
        began = time.monotonic()
        await eventually(lambda: replica.is_warm)
        seconds = round(time.monotonic() - began, 3)
        async with connected(own_postgres.url) as connection:
            await assert_caught_up(replica, connection)
    record(
        {
            "fault": "cold start with the database away, from its start",
            "seconds to recover": seconds,
            "wrong rows": 0,
        }
    )
    assert replica.status().warm_count == 1


async def truncate_no_more(scene: Scene) -> None:
    """Stop the writers: a TRUNCATE would make the replica read everything, too."""
    await scene.quiet()
    await scene.caught_up()


async def burn_transaction_ids(url: str, count: int) -> int:
    """Use up transaction ids by rolling back, which leaves no trace on disk; returns the last."""
    async with connected(url) as connection:
        for _ in range(count):
            await connection.execute("BEGIN")
            last: str = await connection.fetchval("SELECT pg_current_xact_id()::text")
            await connection.execute("ROLLBACK")
    return int(last)


async def write_services(url: str, count: int) -> list[int]:
    """Create services one by one; returns the transaction ids."""
    connection = await asyncpg.connect(url)
    ids = [
        await connection.fetchval(
            "INSERT INTO services (service_id) VALUES ($1) RETURNING pg_current_xact_id()::text", f"again-{n}"
        )
        for n in range(count)
    ]
    await connection.close()
    return [int(xid) for xid in ids]
