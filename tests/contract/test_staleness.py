"""The sweeper of a running server: what callers see of it. Of several servers only one sweeps."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest

from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
)
from server.app import Application
from server.config import Settings, StalenessSettings
from tests.support.calls import FRESH, Stubs, edges
from tests.support.eventually import eventually
from tests.support.following import assert_caught_up

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

HOUR = timedelta(hours=1)
SETTINGS = StalenessSettings(
    stale_after={"otel_service_graph": HOUR},
    half_life={"service_mesh": HOUR},
    sweep_interval=timedelta(milliseconds=20),
)


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, staleness=SETTINGS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def figure(application: Application, name: str) -> float:
    value = application.registry.get_sample_value(f"depgraph_{name}")
    assert value is not None
    return value


async def swept(application: Application) -> None:
    """Wait until a sweep has ended that began after this call."""
    enough = figure(application, "sweeps_total") + 2
    await eventually(lambda: figure(application, "sweeps_total") >= enough)


async def listed(stubs: Stubs) -> Dependency:
    answer = await stubs.dependencies.ListDependencies(
        dependencies.ListDependenciesRequest(include_stale=True)
    )
    [dependency] = answer.dependencies
    return dependency


async def members(stubs: Stubs) -> list[str]:
    """The component of a, as the database is now."""
    answer = await stubs.graph.GetComponent(graph.GetComponentRequest(service_id="a", consistency=FRESH))
    return list(answer.component.members)


async def test_a_stale_dependency_leaves_its_cycle_and_comes_back_when_it_is_observed(
    application: Application, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    await stubs.write_edges("a>b", "b>a", discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH)
    await swept(application)
    assert await members(stubs) == ["a", "b"]

    await connection.execute(
        """UPDATE service_dependencies SET last_observed_at = now() - interval '2 hours'
        FROM services WHERE services.id = source_service_id AND services.service_id = 'a'"""
    )
    await swept(application)
    assert await members(stubs) == ["a"]
    await assert_caught_up(application.replica, connection)

    seen = dependencies.IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, edges=edges("a>b")
    )
    await stubs.dependencies.IngestGraph(seen)
    await swept(application)
    assert await members(stubs) == ["a", "b"]
    assert figure(application, "sweep_marked_stale_total") == 1
    assert figure(application, "sweep_decayed_total") == 0


async def test_confidence_decays_and_comes_back_when_the_dependency_is_observed(
    application: Application, stubs: Stubs, connection: asyncpg.Connection
) -> None:
    [written] = await stubs.write_edges(
        "a>b", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH, confidence_score=0.8
    )
    assert written.confidence_score == 0.8

    await connection.execute(
        "UPDATE service_dependencies SET last_observed_at = now() - interval '90 minutes'"
    )
    await swept(application)
    decayed = await listed(stubs)
    assert abs(decayed.confidence_score - 0.8 * 0.5**1.5) < 0.01
    assert not decayed.is_stale
    await assert_caught_up(application.replica, connection)

    written.ClearField("last_observed_time")
    await stubs.dependencies.BatchUpsertDependencies(
        dependencies.BatchUpsertDependenciesRequest(dependencies=[written])
    )
    await swept(application)
    assert (await listed(stubs)).confidence_score == 0.8
    assert figure(application, "sweep_decayed_total") == 1
    assert figure(application, "last_sweep_timestamp_seconds") == pytest.approx(
        datetime.now(UTC).timestamp(), abs=60
    )


async def test_of_two_servers_one_sweeps_and_the_other_takes_over(server_settings: Settings) -> None:
    async with AsyncExitStack() as one, AsyncExitStack() as another:
        running = {
            await stack.enter_async_context(Application(server_settings, lambda _: None)): stack
            for stack in (one, another)
        }
        await eventually(lambda: sum(figure(server, "sweeper") for server in running) == 1)
        sweeper, other = sorted(running, key=lambda server: -figure(server, "sweeper"))
        await swept(sweeper)
        assert figure(other, "sweeps_total") == 0

        await running[sweeper].aclose()

        await swept(other)
        assert figure(other, "sweeper") == 1


async def test_a_server_without_settings_does_not_sweep(
    server_settings: Settings, database_url: str, connection: asyncpg.Connection
) -> None:
    async with (
        Application(Settings(listen="127.0.0.1:0", database_url=database_url), lambda _: None) as idle,
        Application(server_settings, lambda _: None) as active,
    ):
        await swept(active)
        assert (figure(idle, "sweeper"), figure(idle, "sweeps_total")) == (0, 0)
        sessions = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'depgraph sweeper' AND datname = current_database()"
        )
        assert sessions == 1
