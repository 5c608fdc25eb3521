"""ListWrites over a real channel: every call that wrote, and nothing else."""

from datetime import UTC, datetime

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from depgraph.v1 import access_service_pb2 as pb
from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1.graph_service_pb2 import DIRECTION_DOWNSTREAM, TraverseRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_KUBERNETES, Consistency, Service
from server.access.roles import ROLES_OF_METHODS
from server.config import DetectionSettings, Settings
from server.rpc.methods import EXPORT
from tests.support.calls import Stubs, edges, pages
from tests.support.command import ROOT, Command
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    # Alerts are as the tests write them.
    detection = DetectionSettings(enabled=False)
    return Settings(listen="127.0.0.1:0", database_url=database_url, detection=detection)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def listed(stubs: Stubs, size: int = 0) -> list[pb.Write]:
    found: list[pb.Write] = []
    async for page in pages(
        lambda token: stubs.access.ListWrites(pb.ListWritesRequest(page_size=size, page_token=token))
    ):
        assert len(page.writes) <= (size or 100)
        found += page.writes
    return found


def method(write: pb.Write) -> str:
    return write.method.removeprefix("depgraph.v1.")


def counts(write: pb.Write) -> dict[str, int]:
    return {field.name: count for field, count in write.counts.ListFields()}


async def test_every_method_that_writes_is_in_the_account_with_its_counts(stubs: Stubs) -> None:
    began = Timestamp()
    began.FromDatetime(datetime.now(UTC))
    row = Service(service_id="a")
    await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=row))
    await stubs.catalog.UpdateService(
        catalog.UpdateServiceRequest(service=Service(service_id="a", team="shop"))
    )
    await stubs.write_services("a", "b")
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=edges("a>b"))
    edge = (await stubs.dependencies.BatchUpsertDependencies(request)).dependencies[0]
    await stubs.dependencies.MarkStale(
        dependencies.MarkStaleRequest(observed_before=Timestamp(seconds=4_000_000_000))
    )
    await stubs.dependencies.DeleteDependency(dependencies.DeleteDependencyRequest(id=edge.id))
    await stubs.dependencies.IngestGraph(
        dependencies.IngestGraphRequest(
            discovery_source=DISCOVERY_SOURCE_KUBERNETES, edges=edges("b>c", "c>a")
        )
    )
    key = (await stubs.alerts.CreateAlert(alerts.CreateAlertRequest(cycle_path=["a", "b"]))).alert.id
    await stubs.alerts.AcknowledgeAlert(alerts.AcknowledgeAlertRequest(id=key, acknowledged_by="ann"))
    await stubs.alerts.ResolveAlert(alerts.ResolveAlertRequest(id=key, resolution_notes="done"))
    await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias="bee", service_id="b"))
    await stubs.catalog.RemoveAlias(catalog.RemoveAliasRequest(alias="bee"))
    await stubs.catalog.MergeServices(catalog.MergeServicesRequest(from_service_id="c", into_service_id="b"))
    last = await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id="a"))

    # b -> c would be a call of b to itself, and c -> a goes over to b, which has an alias more.
    rows = ("services_updated", "services_deleted", "dependencies_updated", "dependencies_deleted")
    merged = dict.fromkeys(rows, 1)
    found = (await listed(stubs))[::-1]
    assert [(method(write), counts(write)) for write in found] == [
        ("CatalogService/CreateService", {"services_created": 1}),
        ("CatalogService/UpdateService", {"services_updated": 1}),
        ("CatalogService/BatchUpsertServices", {"services_created": 1, "services_updated": 1}),
        ("DependencyService/BatchUpsertDependencies", {"dependencies_created": 1}),
        ("DependencyService/MarkStale", {"dependencies_updated": 1}),
        ("DependencyService/DeleteDependency", {"dependencies_deleted": 1}),
        ("DependencyService/IngestGraph", {"services_created": 1, "dependencies_created": 2}),
        ("AlertService/CreateAlert", {"alerts_created": 1}),
        ("AlertService/AcknowledgeAlert", {"alerts_updated": 1}),
        ("AlertService/ResolveAlert", {"alerts_updated": 1}),
        ("CatalogService/AddAlias", {"services_updated": 1}),
        ("CatalogService/RemoveAlias", {"services_updated": 1}),
        ("CatalogService/MergeServices", merged),
        ("CatalogService/DeleteService", {"services_deleted": 1}),
    ]
    readers = {name.removeprefix("/") for name, roles in ROLES_OF_METHODS.items() if "reader" in roles}
    everything = {name.removeprefix("/") for name in ROLES_OF_METHODS}
    # Exports have tests of their own: they are written some time after their calls.
    assert {write.method for write in found} == everything - readers - {EXPORT.removeprefix("/")}
    assert {write.principal for write in found} == {""}
    assert found[-1].revision == last.revision
    assert found[0].write_time.ToNanoseconds() >= began.ToNanoseconds() - 10**9


async def test_the_revision_of_a_write_is_one_to_read_with(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    [write, _] = await listed(stubs)
    answer = await stubs.graph.Traverse(
        TraverseRequest(
            service_id="a",
            direction=DIRECTION_DOWNSTREAM,
            consistency=Consistency(at_least_as_fresh=write.revision),
        )
    )
    assert list(answer.service_ids) == ["b"]


async def test_plain_sql_and_calls_that_failed_or_only_read_are_not_in_the_account(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('a')")
    create, delete = stubs.catalog.CreateService, stubs.catalog.DeleteService
    await failure_of(create(catalog.CreateServiceRequest(service=Service(service_id="a"))))
    await failure_of(create(catalog.CreateServiceRequest()))
    await failure_of(delete(catalog.DeleteServiceRequest(service_id="missing")))
    await stubs.catalog.ListServices(catalog.ListServicesRequest())
    assert await listed(stubs) == []


@pytest.mark.parametrize("size", [0, 1, 3, 7, 1_000])
async def test_pages_of_any_size_hold_each_write_once(stubs: Stubs, size: int) -> None:
    for number in range(7):
        await stubs.write_services(*(f"s{each}" for each in range(number + 1)))
    found = await listed(stubs, size)
    assert [write.counts.services_updated for write in found] == [6, 5, 4, 3, 2, 1, 0]


async def test_a_token_of_another_list_is_refused(stubs: Stubs) -> None:
    failure = await failure_of(stubs.access.ListWrites(pb.ListWritesRequest(page_token="AAAA", page_size=-1)))
    assert set(failure.fields) == {"page_token", "page_size"}


async def test_an_import_by_the_command_is_in_the_account_and_in_the_log(
    quick_command: Command, stubs: Stubs
) -> None:
    with capture_logs() as lines:
        imported = await quick_command("import", "json", str(ROOT / "examples/online_shop.json"))
    assert imported.returncode == 0, imported.stderr
    found = await listed(stubs)
    assert {method(write) for write in found} == {"DependencyService/IngestGraph"}
    logged = [line for line in lines if line["event"] == "write"]
    assert [line["revision"] for line in logged] == [write.revision for write in found[::-1]]
    for line, write in zip(logged, found[::-1], strict=True):
        assert (line["principal"], line["method"]) == (write.principal, write.method)
        assert {name: line[name] for name in counts(write)} == counts(write)
        assert line["peer"]


async def test_the_sql_of_the_documentation_lists_the_account(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    section = (ROOT / "docs/security.md").read_text().partition("## Who wrote what")[2]
    statement = section.partition("```sql")[2].partition("```")[0]
    await stubs.write_edges("a>b")
    rows = await connection.fetch(statement)
    assert [row["method"] for row in rows] == [write.method for write in await listed(stubs)]
    assert [row["services_created"] for row in rows] == [0, 2]
