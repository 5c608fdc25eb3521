"""Bad input over a real channel: every wrong field is named, and nothing is written or harmed."""

from collections.abc import Awaitable, Callable
from math import inf, nan
from typing import Any

import asyncpg
import grpc
import pytest

from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL, Service
from tests.support.calls import FRESH, Stubs, edges, raw_call
from tests.support.failures import Failure, failure_of

INVALID = grpc.StatusCode.INVALID_ARGUMENT
TOO_LONG = "x" * 256


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def upsert_failure(stubs: Stubs, *written: str, **said: Any) -> Failure:
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=edges(*written, **said))
    return await failure_of(stubs.dependencies.BatchUpsertDependencies(request))


async def written(stubs: Stubs) -> tuple[int, int]:
    """How many services and dependencies the record holds."""
    services = await stubs.catalog.ListServices(catalog.ListServicesRequest())
    found = await stubs.dependencies.ListDependencies(
        dependencies.ListDependenciesRequest(include_stale=True)
    )
    return len(services.services), len(found.dependencies)


BAD_NAMES = {
    "a\nb": "U+000A",
    "a\x1b[31m": "U+001B",
    "a\x85b": "U+0085",
    "a\u2028b": "U+2028",
    " ": "blank",
    "\t\n": "blank",
    " a": "white space",
    "a\N{NO-BREAK SPACE}": "white space",
    "Zoe\N{COMBINING DIAERESIS}": "NFC",
}


@pytest.mark.one_transport
@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
async def test_no_call_creates_a_service_with_a_bad_name(stubs: Stubs, name: str) -> None:
    good = Service(service_id="good")
    calls: dict[str, Awaitable[Any]] = {
        "service.service_id": stubs.catalog.CreateService(
            catalog.CreateServiceRequest(service=Service(service_id=name))
        ),
        "services[1].service_id": stubs.catalog.BatchUpsertServices(
            catalog.BatchUpsertServicesRequest(services=[good, Service(service_id=name)])
        ),
        "nodes[0].service_id": stubs.dependencies.IngestGraph(
            dependencies.IngestGraphRequest(
                discovery_source=DISCOVERY_SOURCE_MANUAL, nodes=[dependencies.IngestNode(service_id=name)]
            )
        ),
        "edges[1].target_service_id": stubs.dependencies.IngestGraph(
            dependencies.IngestGraphRequest(
                discovery_source=DISCOVERY_SOURCE_MANUAL, edges=edges("a>b", f"a>{name}")
            )
        ),
    }
    for field, call in calls.items():
        failure = await failure_of(call)
        assert failure.code is INVALID
        assert list(failure.fields) == [field]
        assert BAD_NAMES[name] in failure.message
    assert await written(stubs) == (0, 0)


@pytest.mark.one_transport
async def test_a_service_that_has_a_bad_name_already_goes_on_working(
    stubs: Stubs, connection: asyncpg.Connection
) -> None:
    name = "old \n"
    await connection.execute("INSERT INTO services (service_id) VALUES ($1), ('a')", name)
    changed = await stubs.catalog.UpdateService(
        catalog.UpdateServiceRequest(service=Service(service_id=name, team="shop"))
    )
    assert changed.service.team == "shop"
    report = dependencies.IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_MANUAL, edges=edges(f"a>{name}")
    )
    assert (await stubs.dependencies.IngestGraph(report)).edges_created == 1
    request = catalog.BatchUpsertServicesRequest(services=[Service(service_id=name)])
    assert (await stubs.catalog.BatchUpsertServices(request)).updated_count == 1
    answer = await stubs.graph.Traverse(
        graph.TraverseRequest(service_id=name, direction=graph.DIRECTION_UPSTREAM, consistency=FRESH)
    )
    assert list(answer.service_ids) == ["a"]
    await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id=name))


NAMED: list[tuple[str, Callable[[Stubs, str], Awaitable[Any]]]] = [
    (
        "service.service_id",
        lambda s, name: s.catalog.CreateService(
            catalog.CreateServiceRequest(service=Service(service_id=name))
        ),
    ),
    ("service_id", lambda s, name: s.catalog.GetService(catalog.GetServiceRequest(service_id=name))),
    ("service_id", lambda s, name: s.catalog.DeleteService(catalog.DeleteServiceRequest(service_id=name))),
    (
        "service.service_id",
        lambda s, name: s.catalog.UpdateService(
            catalog.UpdateServiceRequest(service=Service(service_id=name))
        ),
    ),
    (
        "services[0].service_id",
        lambda s, name: s.catalog.BatchUpsertServices(
            catalog.BatchUpsertServicesRequest(services=[Service(service_id=name)])
        ),
    ),
    (
        "dependencies[0].source_service_id",
        lambda s, name: s.dependencies.BatchUpsertDependencies(
            dependencies.BatchUpsertDependenciesRequest(dependencies=edges(f"{name}>b"))
        ),
    ),
    (
        "nodes[0].service_id",
        lambda s, name: s.dependencies.IngestGraph(
            dependencies.IngestGraphRequest(
                discovery_source=DISCOVERY_SOURCE_MANUAL, nodes=[dependencies.IngestNode(service_id=name)]
            )
        ),
    ),
    (
        "service_id",
        lambda s, name: s.graph.Traverse(
            graph.TraverseRequest(service_id=name, direction=graph.DIRECTION_BOTH)
        ),
    ),
    ("service_id", lambda s, name: s.graph.GetComponent(graph.GetComponentRequest(service_id=name))),
    (
        "cycle_path[0]",
        lambda s, name: s.alerts.CreateAlert(alerts.CreateAlertRequest(cycle_path=[name, "b"])),
    ),
    ("cycle_path[0]", lambda s, name: s.alerts.CheckCycle(alerts.CheckCycleRequest(cycle_path=[name, "b"]))),
]


@pytest.mark.parametrize("name", ["", TOO_LONG, "a\0b"], ids=["empty", "256 characters", "NUL"])
async def test_a_bad_name_is_refused_wherever_it_stands(stubs: Stubs, name: str) -> None:
    for field, call in NAMED:
        failure = await failure_of(call(stubs, name))
        assert (failure.code, failure.reason, list(failure.fields)) == (INVALID, "INVALID_FIELD", [field])
    assert await written(stubs) == (0, 0)


async def test_a_self_loop_is_refused(stubs: Stubs) -> None:
    await stubs.write_services("a")
    failure = await upsert_failure(stubs, "a>a")
    assert (failure.code, list(failure.fields)) == (INVALID, ["dependencies[0].target_service_id"])


@pytest.mark.parametrize("score", [1.5, -0.1, nan, inf])
async def test_a_confidence_out_of_bounds_is_refused(stubs: Stubs, score: float) -> None:
    await stubs.write_services("a", "b")
    failure = await upsert_failure(stubs, "a>b", confidence_score=score)
    assert (failure.code, list(failure.fields)) == (INVALID, ["dependencies[0].confidence_score"])


@pytest.mark.parametrize("depth", [-1, 11, 2**31 - 1])
async def test_a_depth_out_of_bounds_is_refused(stubs: Stubs, depth: int) -> None:
    request = graph.TraverseRequest(service_id="a", direction=graph.DIRECTION_BOTH, max_depth=depth)
    failure = await failure_of(stubs.graph.Traverse(request))
    assert (failure.code, list(failure.fields)) == (INVALID, ["max_depth"])
    assert f"{depth} is not in 0\u201310" in failure.message


async def test_every_wrong_field_is_named_at_once(stubs: Stubs) -> None:
    await stubs.write_services("a", "b")
    wrong = edges("a>a", confidence_score=nan, timeout_ms=0, protocol="p" * 51)
    missing = edges(">b", communication_mode=0)
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=[*edges("a>b"), *wrong, *missing])
    failure = await failure_of(stubs.dependencies.BatchUpsertDependencies(request))
    assert set(failure.fields) == {
        "dependencies[1].target_service_id",
        "dependencies[1].confidence_score",
        "dependencies[1].timeout_ms",
        "dependencies[1].protocol",
        "dependencies[2].source_service_id",
        "dependencies[2].communication_mode",
    }
    assert await written(stubs) == (2, 0)


async def test_a_batch_with_unknown_ends_names_each_and_writes_nothing(stubs: Stubs) -> None:
    await stubs.write_services("a", "b")
    failure = await upsert_failure(stubs, "a>b", "a>x", "y>b")
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert set(failure.fields) == {"dependencies[1].target_service_id", "dependencies[2].source_service_id"}
    assert await written(stubs) == (2, 0)


async def test_a_batch_of_services_with_one_bad_item_writes_nothing(stubs: Stubs) -> None:
    services = [Service(service_id=name) for name in ("a", "b", TOO_LONG)]
    failure = await failure_of(
        stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    )
    assert list(failure.fields) == ["services[2].service_id"]
    assert await written(stubs) == (0, 0)


async def test_a_name_twice_in_a_batch_is_refused(stubs: Stubs) -> None:
    services = [Service(service_id=name) for name in ("a", "b", "a")]
    failure = await failure_of(
        stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    )
    assert (failure.code, list(failure.fields)) == (INVALID, ["services[2].service_id"])
    assert await written(stubs) == (0, 0)


async def test_a_hundred_thousand_items_in_one_batch_are_refused(stubs: Stubs) -> None:
    services = [Service(service_id=f"s{number}") for number in range(100_000)]
    failure = await failure_of(
        stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    )
    assert (failure.code, list(failure.fields)) == (INVALID, ["services"])
    assert "more than 10,000 items" in failure.message
    many = edges(*["a>b"] * 100_000)
    for failure in (
        await failure_of(
            stubs.dependencies.BatchUpsertDependencies(
                dependencies.BatchUpsertDependenciesRequest(dependencies=many)
            )
        ),
        await failure_of(stubs.dependencies.IngestGraph(dependencies.IngestGraphRequest(edges=many))),
    ):
        assert failure.code is INVALID
    assert await written(stubs) == (0, 0)


async def test_a_message_over_the_size_limit_is_refused_by_grpc(stubs: Stubs) -> None:
    services = [Service(service_id="a", team="x" * (17 * 1024 * 1024))]
    failure = await failure_of(
        stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    )
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await written(stubs) == (0, 0)


async def test_thousands_of_bad_items_fit_an_answer(stubs: Stubs) -> None:
    services = [Service(service_id="漢" * 300)] * 2_000
    failure = await failure_of(
        stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    )
    assert failure.code is INVALID
    assert "more" in failure.fields["…"]
    assert failure.size < 8 * 1024


async def test_bytes_that_are_no_message_are_refused(channel: grpc.aio.Channel) -> None:
    failure = await failure_of(raw_call(channel, "/depgraph.v1.CatalogService/GetService", b"\xff\xff\xff"))
    assert (failure.code, failure.reason) == (INVALID, "INVALID_FIELD")


async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    for method in ("/depgraph.v1.CatalogService/DropTables", "/depgraph.v2.CatalogService/GetService", "/x"):
        failure = await failure_of(raw_call(channel, method, b""))
        assert failure.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "identifier", ["", "1", "not-a-uuid", "00000000-0000-0000-0000-00000000000g", "x" * 10_000]
)
async def test_an_id_that_is_no_uuid_is_refused(stubs: Stubs, identifier: str) -> None:
    calls: list[Awaitable[Any]] = [
        stubs.catalog.GetService(catalog.GetServiceRequest(id=identifier)),
        stubs.catalog.DeleteService(catalog.DeleteServiceRequest(id=identifier)),
        stubs.dependencies.GetDependency(dependencies.GetDependencyRequest(id=identifier)),
        stubs.dependencies.DeleteDependency(dependencies.DeleteDependencyRequest(id=identifier)),
        stubs.alerts.GetAlert(alerts.GetAlertRequest(id=identifier)),
        stubs.alerts.ListAlertEvents(alerts.ListAlertEventsRequest(id=identifier)),
        stubs.alerts.AcknowledgeAlert(alerts.AcknowledgeAlertRequest(id=identifier, acknowledged_by="a")),
        stubs.alerts.ResolveAlert(alerts.ResolveAlertRequest(id=identifier, resolution_notes="a")),
    ]
    for call in calls:
        failure = await failure_of(call)
        assert (failure.code, list(failure.fields)) == (INVALID, ["id"])


async def test_metadata_that_cannot_be_stored_is_refused(stubs: Stubs) -> None:
    service = Service(service_id="a")
    service.metadata.update({"fine": 1, "broken": {"deep": [nan]}})
    failure = await failure_of(stubs.catalog.CreateService(catalog.CreateServiceRequest(service=service)))
    assert list(failure.fields) == ["service.metadata"]
    service.metadata.Clear()
    service.metadata.update({"large": "x" * 70_000})
    failure = await failure_of(stubs.catalog.CreateService(catalog.CreateServiceRequest(service=service)))
    assert failure.fields == {"service.metadata": "is more than 64 KiB as JSON"}


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field as protobuf writes it."""
    length, size = bytearray(), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2]) + bytes(length) + content


async def test_metadata_nested_too_deep_to_read_is_refused(channel: grpc.aio.Channel) -> None:
    value = delimited(5, b"")
    for _ in range(60):
        value = delimited(5, delimited(1, delimited(1, b"a") + delimited(2, value)))
    metadata = delimited(1, delimited(1, b"a") + delimited(2, value))
    request = delimited(1, delimited(2, b"a") + delimited(3, metadata))
    failure = await failure_of(raw_call(channel, "/depgraph.v1.CatalogService/CreateService", request))
    assert (failure.code, failure.reason) == (INVALID, "INVALID_FIELD")
