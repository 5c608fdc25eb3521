"""Callers with an identity write: who stands in the account, in the log and in alerts."""

import json

import grpc
import pytest
from structlog.testing import capture_logs

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, DeleteServiceRequest
from depgraph.v1.types_pb2 import Service
from server.config import AccessSettings, DetectionSettings, Settings
from tests.support.calls import Stubs
from tests.support.command import ROOT, Command
from tests.support.failures import failure_of
from tests.support.issuer import bearer, static_token

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

# A token's text is the name of its owner here.
CALLERS = {"ann": "operator", "ben": "operator", "eve": "editor", "mesh": "ingester", "root": "admin"}
DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def server_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("access") / "auth.toml"
    tables = [
        static_token(name, role, sources=("manual", "otel_service_graph") if role == "ingester" else ())
        for name, role in CALLERS.items()
    ]
    path.write_text("\n".join(tables))
    return Settings(
        listen="127.0.0.1:0",
        database_url=database_url,
        access=AccessSettings(auth_file=path),
        detection=DetectionSettings(enabled=False),
    )


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create_service(stubs: Stubs, caller: str, name: str) -> str:
    """Create a service as a caller; returns the revision."""
    request = CreateServiceRequest(service=Service(service_id=name))
    return (await stubs.catalog.CreateService(request, metadata=bearer(caller))).revision


async def create_alert(stubs: Stubs, caller: str) -> str:
    request = alerts.CreateAlertRequest(cycle_path=["a", "b"])
    return (await stubs.alerts.CreateAlert(request, metadata=bearer(caller))).alert.id


async def listed(stubs: Stubs) -> list[pb.Write]:
    return list((await stubs.access.ListWrites(pb.ListWritesRequest(), metadata=bearer("ben"))).writes)


async def test_the_account_and_the_log_say_who_wrote(stubs: Stubs) -> None:
    with capture_logs() as lines:
        revisions = {
            "eve": await create_service(stubs, "eve", "a"),
            "root": await create_service(stubs, "root", "b"),
        }
    found = {write.principal: write.revision for write in await listed(stubs)}
    assert found == revisions
    assert {line["principal"]: line["revision"] for line in lines if line["event"] == "write"} == revisions


async def test_a_call_that_was_denied_is_not_in_the_account(stubs: Stubs) -> None:
    await create_service(stubs, "eve", "a")
    for caller in ("ann", "mesh"):
        request = DeleteServiceRequest(service_id="a")
        failure = await failure_of(stubs.catalog.DeleteService(request, metadata=bearer(caller)))
        assert failure.code is DENIED
    assert [write.principal for write in await listed(stubs)] == ["eve"]


async def test_an_import_and_what_the_command_lists_name_the_owner_of_the_token(
    quick_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPGRAPH_TOKEN", "mesh")
    imported = await quick_command("import", "json", str(ROOT / "examples/online_shop.json"))
    assert imported.returncode == 0, imported.stderr
    monkeypatch.setenv("DEPGRAPH_TOKEN", "ann")
    writes = json.loads((await quick_command("writes", "--json")).stdout)["writes"]
    assert {(write["principal"], write["method"]) for write in writes} == {
        ("mesh", "depgraph.v1.DependencyService/IngestGraph")
    }
    # One of manual dependencies, one of observed ones.
    assert len(writes) == 2


async def test_an_alert_is_acknowledged_in_the_callers_own_name_unless_an_admin_does(stubs: Stubs) -> None:
    key = await create_alert(stubs, "ann")

    async def acknowledge(caller: str, name: str = "") -> str:
        request = alerts.AcknowledgeAlertRequest(id=key, acknowledged_by=name)
        answer = await stubs.alerts.AcknowledgeAlert(request, metadata=bearer(caller))
        return answer.alert.acknowledged_by

    failure = await failure_of(acknowledge("ben", "ann"))
    assert (failure.code, failure.reason) == (DENIED, "PERMISSION_DENIED")
    assert (set(failure.fields), failure.metadata["role"]) == ({"acknowledged_by"}, "admin")
    assert [await acknowledge("ann"), await acknowledge("ben", "ben")] == ["ann", "ben"]
    assert await acknowledge("root", "ann") == "ann"
    request = alerts.ResolveAlertRequest(id=key, resolution_notes="done")
    await stubs.alerts.ResolveAlert(request, metadata=bearer("ben"))
    history = await stubs.alerts.ListAlertEvents(
        alerts.ListAlertEventsRequest(id=key), metadata=bearer("ann")
    )
    assert [(event.actor, event.note) for event in history.events] == [
        ("ann", ""),
        ("ann", ""),
        ("ben", ""),
        ("root", "for ann"),
        ("ben", "done"),
    ]


async def test_the_command_acknowledges_in_the_name_of_the_tokens_owner(
    stubs: Stubs, quick_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await create_alert(stubs, "ann")
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("DEPGRAPH_TOKEN", "ben")
    acknowledged = await quick_command("alerts", "ack", key)
    assert acknowledged.stdout.startswith("acknowledged by ben"), acknowledged.stderr
    refused = await quick_command("alerts", "ack", key, "--by", "ann")
    assert refused.returncode != 0
    assert "another's name" in refused.stderr
