"""What the network can do to the feed: memory stays honest, and comes back by itself."""

from datetime import timedelta

import pytest

from server.feed.connection import FeedConnection
from server.postgres import connecting
from tests.support.eventually import eventually
from tests.support.scene import Scene, connected

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

FEED = "application_name = 'depgraph feed' AND datname = current_database()"


async def test_a_connection_reset(scene: Scene) -> None:
    scene.proxy.reset_links()
    await scene.recovers("connection reset")
    assert scene.replica.status().warm_count >= 1


async def test_a_half_open_connection_is_given_up_and_made_anew(scene: Scene) -> None:
    scene.proxy.freeze_links()
    await scene.recovers("half-open connection, new ones work")


async def test_a_network_that_falls_silent_for_a_few_timeouts(scene: Scene) -> None:
    scene.proxy.fall_silent()
    await scene.goes_stale(timedelta(seconds=2.5))
    scene.proxy.heal()
    await scene.recovers("network silent for 2.5 step timeouts, from its return")


async def test_a_database_three_tenths_of_a_second_away_is_followed(scene: Scene) -> None:
    scene.proxy.delay = 0.3
    seconds = await scene.caught_up()
    scene.proxy.delay = 0
    await scene.ends_well("0.3 s latency each way, while it lasts", seconds)


@pytest.mark.parametrize("moment", ["between statements", "between prepare and execute"])
async def test_a_reader_half_open_in_a_step_does_not_hold_up_ddl(scene: Scene, moment: str) -> None:
    async def freeze(connection: FeedConnection) -> None:
        if moment == "between prepare and execute":
            # The server then waits within a statement: the session is not idle in a transaction.
            await connection._connection.prepare("SELECT 1")
        scene.proxy.freeze_links()

    scene.in_next_step = freeze
    await scene.goes_stale(timedelta(milliseconds=200))
    async with connected(scene.url) as ddl:
        await ddl.execute(
            "SET lock_timeout = '20s'; BEGIN; LOCK TABLE services IN ACCESS EXCLUSIVE MODE; COMMIT"
        )
    await scene.recovers(f"half-open in a step {moment}, DDL waits for it")


async def test_backends_terminated_three_times(scene: Scene) -> None:
    await terminate(scene, 3)
    await scene.recovers("pg_terminate_backend three times")


async def test_a_storm_of_terminated_backends(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # A session that ends within its first step doubles the next pause: up to half a minute in all.
    monkeypatch.setattr(connecting, "LONGEST_PAUSE_SECONDS", 0.4)
    await terminate(scene, 12)
    await scene.recovers("storm of 12 pg_terminate_backend")


async def terminate(scene: Scene, times: int) -> None:
    """End the feed's session again and again, as soon as there is one."""
    async with connected(scene.url) as killer:
        for _ in range(times):
            steps = scene.witness.steps
            await killer.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {FEED}")
            await eventually(lambda: scene.witness.steps > steps)  # noqa: B023 - looked at in this turn only
