"""What GetStatus, the command and the metrics report of detection."""

import asyncio
from datetime import timedelta

import asyncpg
import grpc
import pytest

from depgraph.v1 import graph_service_pb2 as pb
from server.app import Application
from server.config import DetectionSettings, Settings
from server.store.single_runner import DETECTION_KEY
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import Command
from tests.support.eventually import PATIENCE_SECONDS

# The report is made before any transport carries it.
pytestmark = pytest.mark.one_transport


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def level(stubs: Stubs, cycles: int) -> pb.Detection:
    """Ask until the alerts have caught up and there are so many cyclic components."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status = await stubs.graph.GetStatus(pb.GetStatusRequest())
            returned = status.detection
            if returned.revision == status.freshness.revision and returned.cycle_count == cycles:
                return returned
            await asyncio.sleep(0.01)


async def test_the_writer_reports_how_far_the_alerts_have_caught_up(
    stubs: Stubs, quick_command: Command
) -> None:
    assert not (await level(stubs, 0)).HasField("write_time")
    await stubs.write_edges("a>b", "b>a", "b>c")
    returned = await level(stubs, 1)
    assert returned.role == pb.DETECTION_ROLE_WRITER
    assert returned.HasField("write_time")
    finished = await quick_command("status")
    assert "caught up, 1 cyclic component, written" in " ".join(finished.stdout.split())


async def test_a_second_server_stands_by_and_one_without_detection_says_so(
    database_url: str, stubs: Stubs
) -> None:
    await level(stubs, 0)
    for settings, role in (
        (DetectionSettings(), pb.DETECTION_ROLE_STANDBY),
        (DetectionSettings(enabled=False), pb.DETECTION_ROLE_OFF),
    ):
        wanted = Settings(listen="127.0.0.1:0", database_url=database_url, detection=settings)
        async with (
            Application(wanted, report=lambda _: None) as other,
            open_channel(other.address) as channel,
        ):
            status = await Stubs(channel).graph.GetStatus(pb.GetStatusRequest())
            assert status.detection == pb.Detection(role=role)
            # The first server goes on keeping the alerts.
            assert (await level(stubs, 0)).role == pb.DETECTION_ROLE_WRITER


async def test_the_writer_notes_in_the_database_that_it_does_its_work(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    await level(stubs, 0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval("SELECT depgraph_feed.undone_for('detection')") is None:
            await asyncio.sleep(0.01)


async def test_a_standby_reports_when_the_lock_holder_does_nothing(
    database_url: str, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.lifecycle.detection.TOLERANCE", timedelta(milliseconds=50))
    await connection.execute("SET application_name = 'a stranger'")
    await connection.execute("SELECT pg_advisory_lock(7203411, $1)", DETECTION_KEY)
    settings = Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        detection=DetectionSettings(takeover_interval=timedelta(milliseconds=20)),
    )
    async with (
        Application(settings, report=lambda _: None) as server,
        open_channel(server.address) as channel,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        stubs = Stubs(channel)
        while not (problems := (await stubs.graph.GetStatus(pb.GetStatusRequest())).problems):
            await asyncio.sleep(0.01)
        assert problems[0].startswith("alerts were not compared with the graph for ")
        assert "'a stranger'" in problems[0]
        await connection.execute("SELECT pg_advisory_unlock_all()")
        while (await stubs.graph.GetStatus(pb.GetStatusRequest())).problems:
            await asyncio.sleep(0.01)
