"""A silent reporter in GetStatus, in the commands and in metrics, and what ListSources says."""

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import GetStatusRequest
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_SYNC, DISCOVERY_SOURCE_SERVICE_MESH, Dependency
from server.app import Application
from server.store import reporters
from tests.support.calls import Stubs
from tests.support.command import Command
from tests.support.eventually import eventually

pytestmark = pytest.mark.one_transport

SILENT = "the reporter mesh-eu (service_mesh) has not reported for 1:00:0"


@pytest.fixture(autouse=True)
def _read_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters, "_INTERVAL_SECONDS", 0.2)


def metric(application: Application, name: str) -> float | None:
    labels = {"reporter": "mesh-eu", "discovery_source": "service_mesh"}
    return application.registry.get_sample_value(f"depgraph_source_{name}", labels)


async def test_a_silent_reporter_is_a_problem_until_it_reports(
    mesh_reporter: str, application: Application, channel: grpc.aio.Channel, quick_command: Command
) -> None:
    stubs = Stubs(channel)
    await eventually(lambda: metric(application, "silent") == 1)
    assert metric(application, "failing") == 1
    assert (metric(application, "elements"), metric(application, "skipped_elements")) == (9, 4)
    age = metric(application, "last_success_age_seconds")
    assert age is not None
    assert age > 3_600

    status = await stubs.graph.GetStatus(GetStatusRequest())
    [problem] = [each for each in status.problems if each.startswith(SILENT)]
    assert problem.endswith(", and means to report every 0:01:00: HTTP 503")
    [source] = status.sources
    listed = (await stubs.dependencies.ListSources(pb.ListSourcesRequest())).sources
    assert list(listed) == [source]
    found = MessageToDict(source, preserving_proto_field_name=True)
    assert (found["reporter"], found["is_silent"], found["skipped"]) == (
        "mesh-eu",
        True,
        {"a raw address": "4"},
    )
    printed = await quick_command("status", "--live")
    assert "reporter mesh-eu  silent, service mesh, last success " in printed.stdout
    table = (await quick_command("sources")).stdout.splitlines()
    assert table[1].split()[:3] == ["mesh-eu", "service", "mesh"]
    assert table[1].split()[-4:] == ["silent", "0", "9", "4"]
    assert table[2:] == ["mesh-eu: HTTP 503", "mesh-eu: 4 elements skipped: a raw address"]

    report = pb.IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_SERVICE_MESH,
        reporter=mesh_reporter,
        edges=[
            Dependency(
                source_service_id="a", target_service_id="b", communication_mode=COMMUNICATION_MODE_SYNC
            )
        ],
    )
    report.details.interval.seconds = 60
    await stubs.dependencies.IngestGraph(report)

    await eventually(lambda: metric(application, "silent") == 0)
    assert (metric(application, "failing"), metric(application, "elements")) == (0, 0)
    [source] = (await stubs.graph.GetStatus(GetStatusRequest())).sources
    assert (source.is_silent, source.last_error, source.edges_created) == (False, "", 1)
    assert (await quick_command("sources")).stdout.splitlines()[1].split()[-4:] == ["ok", "1", "0", "0"]
