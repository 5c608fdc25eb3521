"""CatalogService, each RPC over a real channel."""

from datetime import UTC
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import DIRECTION_BOTH, GetComponentRequest, TraverseRequest
from depgraph.v1.types_pb2 import (
    CRITICALITY_HIGH,
    CRITICALITY_LOW,
    CRITICALITY_MEDIUM,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_QUEUE,
    SERVICE_KIND_SERVICE,
    Service,
)
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

METADATA = {"repository": "git@shop", "tiers": [1, 2.5, None], "on_call": {"rota": True, "name": "Zoë"}}


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def create(stubs: Stubs, name: str, **said: object) -> Service:
    service = ParseDict({"service_id": name, **said}, Service())
    return (await stubs.catalog.CreateService(pb.CreateServiceRequest(service=service))).service


async def get(stubs: Stubs, name: str) -> Service:
    return (await stubs.catalog.GetService(pb.GetServiceRequest(service_id=name))).service


async def update(stubs: Stubs, service: Service, *paths: str) -> Service:
    request = pb.UpdateServiceRequest(service=service, update_mask=FieldMask(paths=paths))
    return (await stubs.catalog.UpdateService(request)).service


async def test_a_created_service_is_found_by_name_and_by_id(stubs: Stubs) -> None:
    created = await create(stubs, "checkout", metadata=METADATA, criticality="CRITICALITY_HIGH", team="shop")
    assert str(UUID(created.id)) == created.id
    assert MessageToDict(created.metadata) == METADATA
    assert (created.criticality, created.team, created.discovered) == (CRITICALITY_HIGH, "shop", False)
    assert created.create_time.ToDatetime(tzinfo=UTC).year >= 2024
    by_id = await stubs.catalog.GetService(pb.GetServiceRequest(id=created.id))
    assert await get(stubs, "checkout") == by_id.service == created


async def test_what_is_not_said_of_a_service_has_its_default(stubs: Stubs) -> None:
    created = await create(stubs, "checkout")
    assert (created.criticality, created.HasField("team"), created.discovered) == (
        CRITICALITY_MEDIUM,
        False,
        False,
    )
    assert created.HasField("metadata")
    assert created.metadata == Struct()


async def test_what_only_the_server_says_is_ignored_on_writes(stubs: Stubs) -> None:
    given = {
        "id": str(uuid4()),
        "create_time": "2001-01-01T00:00:00Z",
        "update_time": "2001-01-01T00:00:00Z",
    }
    created = await create(stubs, "checkout", **given)
    assert created.id != given["id"]
    assert created.create_time.ToDatetime().year > 2001


async def test_a_name_is_taken_once(stubs: Stubs) -> None:
    await create(stubs, "checkout")
    request = pb.CreateServiceRequest(service=Service(service_id="checkout"))
    failure = await failure_of(stubs.catalog.CreateService(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SERVICE_ALREADY_EXISTS")
    assert failure.domain == "depgraph"
    assert "checkout" in failure.message


async def test_unusual_names_are_kept_as_they_are(stubs: Stubs) -> None:
    for name in ("漢字", "a b", "Zoë", "🙂" * 255, "%2F/../'\";--", "A", "a"):
        assert (await create(stubs, name)).service_id == name
        assert (await get(stubs, name)).service_id == name


async def test_an_unknown_service_is_not_found(stubs: Stubs) -> None:
    missing = str(uuid4())
    by_name = await failure_of(stubs.catalog.GetService(pb.GetServiceRequest(service_id="chekout")))
    by_id = await failure_of(stubs.catalog.GetService(pb.GetServiceRequest(id=missing)))
    deleted = await failure_of(stubs.catalog.DeleteService(pb.DeleteServiceRequest(service_id="chekout")))
    changed = await failure_of(
        stubs.catalog.UpdateService(pb.UpdateServiceRequest(service=Service(service_id="chekout", team="t")))
    )
    for failure in (by_name, by_id, deleted, changed):
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert "chekout" in by_name.message
    assert missing in by_id.message


async def test_a_name_in_another_unicode_form_is_another_name_and_the_error_says_so(stubs: Stubs) -> None:
    await create(stubs, "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}")
    other = "Zoe\N{COMBINING DIAERESIS}"
    for call in (
        stubs.catalog.GetService(pb.GetServiceRequest(service_id=other)),
        stubs.graph.Traverse(TraverseRequest(service_id=other, direction=DIRECTION_BOTH)),
        stubs.graph.GetComponent(GetComponentRequest(service_id=other)),
    ):
        failure = await failure_of(call)
        assert failure.reason == "SERVICE_NOT_FOUND"
        assert failure.message.endswith("(not in Unicode normal form C, as names of new services are)")


async def test_a_request_that_names_no_service_is_refused(stubs: Stubs) -> None:
    for failure in (
        await failure_of(stubs.catalog.GetService(pb.GetServiceRequest())),
        await failure_of(stubs.catalog.DeleteService(pb.DeleteServiceRequest())),
    ):
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert list(failure.fields) == ["service_id"]


async def test_an_update_without_mask_sets_what_is_set(stubs: Stubs) -> None:
    await create(stubs, "checkout", metadata=METADATA, team="shop", criticality="CRITICALITY_HIGH")
    changed = await update(stubs, Service(service_id="checkout", criticality=CRITICALITY_LOW))
    assert (changed.criticality, changed.team) == (CRITICALITY_LOW, "shop")
    assert MessageToDict(changed.metadata) == METADATA
    assert await get(stubs, "checkout") == changed


async def test_an_update_sets_what_the_mask_names_and_resets_what_is_unset(stubs: Stubs) -> None:
    created = await create(stubs, "checkout", metadata=METADATA, team="shop", criticality="CRITICALITY_HIGH")
    changed = await update(
        stubs, Service(id=created.id, team="ignored", criticality=CRITICALITY_LOW), "metadata"
    )
    assert (changed.team, changed.criticality, changed.metadata) == ("shop", CRITICALITY_HIGH, Struct())
    changed = await update(stubs, Service(id=created.id), "team", "criticality")
    assert (changed.HasField("team"), changed.criticality) == (False, CRITICALITY_MEDIUM)


async def test_the_kind_of_a_service_is_kept_until_another_is_set(stubs: Stubs) -> None:
    assert (await create(stubs, "checkout")).kind == SERVICE_KIND_SERVICE
    await create(stubs, "orders-db", kind="SERVICE_KIND_DATABASE", team="shop")
    changed = await update(stubs, Service(service_id="orders-db", team="orders"), "team")
    assert changed.kind == SERVICE_KIND_DATABASE
    assert (await get(stubs, "orders-db")).kind == SERVICE_KIND_DATABASE
    listed = await stubs.catalog.ListServices(pb.ListServicesRequest())
    assert {service.service_id: service.kind for service in listed.services} == {
        "checkout": SERVICE_KIND_SERVICE,
        "orders-db": SERVICE_KIND_DATABASE,
    }
    await update(stubs, Service(service_id="orders-db", kind=SERVICE_KIND_QUEUE), "*")
    upserted = await stubs.catalog.BatchUpsertServices(
        pb.BatchUpsertServicesRequest(services=[Service(service_id="orders-db", kind=SERVICE_KIND_QUEUE)])
    )
    assert (upserted.services[0].kind, upserted.updated_count) == (SERVICE_KIND_QUEUE, 1)


async def test_a_star_sets_everything(stubs: Stubs) -> None:
    created = await create(stubs, "checkout", metadata=METADATA, team="shop", discovered=True)
    changed = await update(stubs, Service(service_id="checkout", criticality=CRITICALITY_LOW), "*")
    assert changed.id == created.id
    assert (changed.HasField("team"), changed.discovered, changed.metadata) == (False, False, Struct())


async def test_a_mask_that_names_the_key_changes_nothing(stubs: Stubs) -> None:
    created = await create(stubs, "checkout", team="shop")
    renamed = Service(id=created.id, service_id="renamed", team="other")
    request = pb.UpdateServiceRequest(service=renamed, update_mask=FieldMask(paths=["team", "service_id"]))
    failure = await failure_of(stubs.catalog.UpdateService(request))
    assert list(failure.fields) == ["update_mask.paths[1]"]
    assert await get(stubs, "checkout") == created


async def test_an_update_that_sets_nothing_returns_the_service_as_it_is(stubs: Stubs) -> None:
    created = await create(stubs, "checkout", team="shop")
    assert await update(stubs, Service(service_id="checkout")) == created


async def test_a_deleted_service_is_gone(stubs: Stubs) -> None:
    created = await create(stubs, "checkout")
    answer = await stubs.catalog.DeleteService(pb.DeleteServiceRequest(id=created.id))
    assert answer.revision
    failure = await failure_of(stubs.catalog.GetService(pb.GetServiceRequest(service_id="checkout")))
    assert failure.code is grpc.StatusCode.NOT_FOUND


async def test_a_batch_answers_in_the_order_of_the_request_and_counts(stubs: Stubs) -> None:
    await create(stubs, "b")
    request = pb.BatchUpsertServicesRequest(services=[Service(service_id=name) for name in "cab"])
    answer = await stubs.catalog.BatchUpsertServices(request)
    assert [service.service_id for service in answer.services] == ["c", "a", "b"]
    assert (answer.created_count, answer.updated_count) == (2, 1)
    assert answer.revision


async def test_the_same_batch_again_changes_nothing_and_keeps_ids(stubs: Stubs) -> None:
    services = [
        ParseDict({"service_id": name, "metadata": METADATA, "team": "t"}, Service()) for name in "abc"
    ]
    request = pb.BatchUpsertServicesRequest(services=services)
    first = await stubs.catalog.BatchUpsertServices(request)
    again = await stubs.catalog.BatchUpsertServices(request)
    assert list(again.services) == list(first.services)
    assert (again.created_count, again.updated_count) == (0, 3)


async def test_an_upsert_replaces_what_is_stored(stubs: Stubs) -> None:
    created = await create(stubs, "a", team="shop", metadata=METADATA)
    [replaced] = await stubs.write_services("a")
    assert (replaced.id, replaced.HasField("team"), replaced.metadata) == (created.id, False, Struct())


async def test_an_empty_batch_is_answered(stubs: Stubs) -> None:
    answer = await stubs.catalog.BatchUpsertServices(pb.BatchUpsertServicesRequest())
    assert (len(answer.services), answer.created_count, answer.updated_count) == (0, 0, 0)


async def test_a_batch_of_ten_thousand_is_taken(stubs: Stubs) -> None:
    rows = await stubs.write_services(*(f"service {number}" for number in range(10_000)))
    assert [row.service_id for row in rows] == [f"service {number}" for number in range(10_000)]
