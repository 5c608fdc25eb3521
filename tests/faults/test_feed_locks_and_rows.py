"""What other sessions of a healthy database can do to the feed."""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from server.config import FeedSettings
from server.domain.live_graph import FeedState, FullyConsistent
from server.feed.change_log import prune
from tests.support.following import PATIENCE, log_is_free, memory
from tests.support.scene import QUICK, Record, Scene, connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

FEED = "application_name = 'depgraph feed' AND datname = current_database()"


@pytest.fixture
async def patient_scene(database_url: str, seed: int, record: Record) -> AsyncIterator[Scene]:
    """A scene whose feed gives up a connection for a fault only, on a slow machine too."""
    patient = replace(QUICK, step_timeout=PATIENCE)
    async with Scene.opened(database_url, seed, record, patient) as opened:
        yield opened


async def test_a_table_locked_for_ddl_leaves_the_feed_stale_and_alive(patient_scene: Scene) -> None:
    scene = patient_scene
    async with connected(scene.url) as ddl:
        await ddl.execute("BEGIN; LOCK TABLE service_dependencies IN ACCESS EXCLUSIVE MODE")
        await scene.goes_stale()
        assert scene.replica.status().feed_state is FeedState.FOLLOWING
        await ddl.execute("COMMIT")
    await scene.recovers("ACCESS EXCLUSIVE lock held for 2 s, from its release")


async def test_a_frozen_backend_is_given_up(scene: Scene) -> None:
    # Frozen within a step it would keep its locks: a TRUNCATE would wait for them, and all others
    # for the TRUNCATE, until it thaws.
    await scene.quiet()
    await scene.caught_up()
    async with connected(scene.url) as watcher:
        pid = await watcher.fetchval(f"SELECT pid FROM pg_stat_activity WHERE {FEED}")
    if not is_our_postgres(pid):
        pytest.skip("the database's processes are not on this machine, so they can't be stopped")
    try:
        os.kill(pid, signal.SIGSTOP)
    except PermissionError:
        pytest.skip("only root or the database's own user can stop its processes")
    try:
        async with connected(scene.url) as writer:
            await writer.execute("UPDATE services SET team = 'while frozen'")
        seconds = await scene.caught_up()
    finally:
        os.kill(pid, signal.SIGCONT)
    await scene.ends_well("backend frozen by SIGSTOP, new ones work", seconds)


def is_our_postgres(pid: int) -> bool:
    """Tell whether a process of that number here is PostgreSQL's."""
    command = Path(f"/proc/{pid}/comm")
    return command.exists() and command.read_text().strip() == "postgres"


async def test_a_log_pruned_past_the_cursor_is_noticed(scene: Scene) -> None:
    await scene.quiet()
    await scene.caught_up()
    async with connected(scene.url) as observer:
        await log_is_free(observer)
    scene.proxy.fall_silent()
    await scene.goes_stale(timedelta(milliseconds=500))
    async with connected(scene.url) as writer:
        await writer.execute('UPDATE services SET metadata = \'{"while": "away"}\'')
    # The first pass only notes where the log stands; the second may remove what lies before.
    await prune(scene.url, FeedSettings(keep_log=timedelta(0)))
    await prune(scene.url, FeedSettings(keep_log=timedelta(0)))
    async with connected(scene.url) as reader:
        assert await reader.fetchval("SELECT count(*) FROM depgraph_feed.change_log") == 0
    warms = scene.replica.status().warm_count
    scene.proxy.heal()
    await scene.recovers("log pruned past the cursor while cut off, from the return")
    assert scene.replica.status().warm_count > warms


async def test_truncate_races_with_steps(scene: Scene) -> None:
    async with connected(scene.url) as truncating:
        for _ in range(40):
            steps = scene.witness.steps
            await truncating.execute(
                "BEGIN; TRUNCATE service_dependencies;"
                "INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
                " SELECT a.id, b.id, 'sync' FROM services AS a, services AS b"
                " WHERE a.service_id = 'own-0' AND b.service_id LIKE 'own-_' AND a.id <> b.id; COMMIT"
            )
            scene.replica.ask()
            if steps % 5 == 0:
                await scene.replica.at(FullyConsistent(), PATIENCE)
    await scene.recovers("40 TRUNCATEs racing with steps")


async def test_a_row_whose_service_does_not_exist_waits_and_the_feed_goes_on(scene: Scene) -> None:
    await scene.quiet()
    missing = UUID(int=77)
    async with connected(scene.url) as careless:
        await careless.execute("TRUNCATE service_dependencies; SET session_replication_role = replica")
        await careless.execute(
            "INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
            " SELECT id, $1, 'sync' FROM services WHERE service_id = 'own-0'",
            missing,
        )
        await scene.caught_up()
        assert scene.replica.graph.dangling_count == 1
        assert scene.replica.graph.dependency_count == 0
        await careless.execute("UPDATE services SET team = 'goes on' WHERE service_id = 'own-1'")
        await scene.caught_up()
        assert "goes on" in {service.team for service in memory(scene.replica)[0].values()}
        await careless.execute("INSERT INTO services (id, service_id) VALUES ($1, 'found')", missing)
    await scene.recovers("row whose service does not exist")
    assert scene.replica.graph.dangling_count == 0
    assert scene.replica.graph.dependency_count == 1


async def test_a_row_with_a_word_that_means_nothing_waits_and_the_feed_goes_on(scene: Scene) -> None:
    await scene.quiet()
    async with connected(scene.url) as careless:
        await careless.execute("TRUNCATE service_dependencies")
        await careless.execute("ALTER TABLE service_dependencies DROP CONSTRAINT ck_communication_mode")
        await careless.execute(
            "INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)"
            " SELECT a.id, b.id, 'smoke' FROM services AS a, services AS b"
            " WHERE a.service_id = 'own-0' AND b.service_id = 'own-1'"
        )
        await scene.caught_up()
        assert scene.replica.graph.dangling_count == 1
        assert scene.replica.graph.dependency_count == 0
        await careless.execute("UPDATE service_dependencies SET communication_mode = 'sync'")
    await scene.recovers("row with a word that means nothing")
    assert scene.replica.graph.dangling_count == 0
    assert scene.replica.graph.dependency_count == 1
