"""Aliases and merges over a real channel: each RPC, its errors, and answers to alias askers."""

import grpc
import pytest
import pytest_asyncio

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1.access_service_pb2 import ListWritesRequest
from depgraph.v1.types_pb2 import Service, ServiceAlias
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """A server with `a>web-shop` and `web-shop>db`, where `web` is an alias of `web-shop`."""
    stubs = Stubs(channel)
    await stubs.write_edges("a>web-shop", "web-shop>db")
    await add(stubs, "web", "web-shop")
    return stubs


async def add(stubs: Stubs, alias: str, service: str) -> ServiceAlias:
    request = pb.AddAliasRequest(alias=alias, service_id=service)
    return (await stubs.catalog.AddAlias(request)).alias


async def listed(stubs: Stubs, service: str = "") -> list[tuple[str, str]]:
    answer = await stubs.catalog.ListAliases(pb.ListAliasesRequest(service_id=service))
    return [(each.alias, each.service_id) for each in answer.aliases]


async def pairs(stubs: Stubs) -> list[str]:
    answer = await stubs.dependencies.ListDependencies(dependencies.ListDependenciesRequest())
    return sorted(f"{each.source_service_id}>{each.target_service_id}" for each in answer.dependencies)


async def test_an_alias_is_added_listed_and_removed(stubs: Stubs) -> None:
    added = await add(stubs, "store", "web-shop")
    assert (added.alias, added.service_id) == ("store", "web-shop")
    assert added.create_time.ToDatetime().year >= 2024
    assert await add(stubs, "store", "web-shop") == added
    assert await listed(stubs) == [("store", "web-shop"), ("web", "web-shop")]
    assert await listed(stubs, "db") == []

    removed = await stubs.catalog.RemoveAlias(pb.RemoveAliasRequest(alias="store"))

    assert removed.revision
    assert await listed(stubs, "web-shop") == [("web", "web-shop")]


async def test_aliases_are_listed_page_by_page(stubs: Stubs) -> None:
    for name in ("b", "c", "d"):
        await add(stubs, name, "db")
    first = await stubs.catalog.ListAliases(pb.ListAliasesRequest(page_size=3))
    assert [each.alias for each in first.aliases] == ["b", "c", "d"]
    rest = pb.ListAliasesRequest(page_size=3, page_token=first.next_page_token)
    second = await stubs.catalog.ListAliases(rest)
    assert [each.alias for each in second.aliases] == ["web"]
    assert not second.next_page_token
    rest.service_id = "db"
    assert (await failure_of(stubs.catalog.ListAliases(rest))).reason == "INVALID_PAGE_TOKEN"


async def test_errors_of_aliases_name_the_service(stubs: Stubs) -> None:
    taken = await failure_of(stubs.catalog.AddAlias(pb.AddAliasRequest(alias="web", service_id="db")))
    assert (taken.code, taken.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALIAS_ALREADY_EXISTS")
    assert taken.metadata["service_id"] == "web-shop"
    named = await failure_of(stubs.catalog.AddAlias(pb.AddAliasRequest(alias="db", service_id="web-shop")))
    assert (named.code, named.reason) == (grpc.StatusCode.ALREADY_EXISTS, "SERVICE_ALREADY_EXISTS")
    missing = await failure_of(stubs.catalog.AddAlias(pb.AddAliasRequest(alias="x", service_id="y")))
    assert (missing.code, missing.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    gone = await failure_of(stubs.catalog.RemoveAlias(pb.RemoveAliasRequest(alias="nobody")))
    assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND")
    created = pb.CreateServiceRequest(service=Service(service_id="web"))
    exists = await failure_of(stubs.catalog.CreateService(created))
    assert (exists.code, exists.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALIAS_ALREADY_EXISTS")
    assert exists.metadata["service_id"] == "web-shop"
    deleted = await failure_of(stubs.catalog.DeleteService(pb.DeleteServiceRequest(service_id="web")))
    assert (deleted.code, deleted.metadata["service_id"]) == (grpc.StatusCode.INVALID_ARGUMENT, "web-shop")
    for request in (pb.AddAliasRequest(), pb.AddAliasRequest(alias=" x", service_id="db")):
        assert (await failure_of(stubs.catalog.AddAlias(request))).reason == "INVALID_FIELD"


async def test_a_service_read_by_an_alias_has_its_own_name(stubs: Stubs) -> None:
    found = await stubs.catalog.GetService(pb.GetServiceRequest(service_id="web"))
    assert found.service.service_id == "web-shop"
    assert [(each.alias, each.service_id) for each in found.resolved_aliases] == [("web", "web-shop")]
    own = await stubs.catalog.GetService(pb.GetServiceRequest(service_id="web-shop"))
    assert (own.service, len(own.resolved_aliases)) == (found.service, 0)
    by_id = await stubs.catalog.GetService(pb.GetServiceRequest(id=own.service.id))
    assert by_id == own


async def test_a_merge_moves_what_the_service_has_and_its_name_becomes_an_alias(stubs: Stubs) -> None:
    await stubs.write_edges("a>shop", "shop>db", "shop>web-shop", "web-shop>shop", "shop>cache")
    await add(stubs, "boutique", "shop")
    request = pb.MergeServicesRequest(from_service_id="shop", into_service_id="web", validate_only=True)

    tried = await stubs.catalog.MergeServices(request)
    assert len(await pairs(stubs)) == 7
    assert await listed(stubs, "shop") == [("boutique", "shop")]
    request.validate_only = False
    merged = await stubs.catalog.MergeServices(request)

    assert (bool(merged.revision), tried.revision) == (True, "")
    for answer in (merged, tried):
        answer.revision = ""
        answer.service.ClearField("update_time")
    assert tried == merged
    assert (merged.dependencies_moved, merged.dependencies_merged) == (1, 2)
    assert (merged.self_calls_dropped, merged.aliases_moved) == (2, 1)
    assert await pairs(stubs) == ["a>web-shop", "web-shop>cache", "web-shop>db"]
    assert await listed(stubs) == [("boutique", "web-shop"), ("shop", "web-shop"), ("web", "web-shop")]


async def test_a_merge_names_two_services_that_exist(stubs: Stubs) -> None:
    async def refused(going: str, staying: str) -> tuple[grpc.StatusCode, str]:
        request = pb.MergeServicesRequest(from_service_id=going, into_service_id=staying)
        failure = await failure_of(stubs.catalog.MergeServices(request))
        return failure.code, failure.message

    for pair in (("nobody", "db"), ("db", "nobody")):
        assert await refused(*pair) == (grpc.StatusCode.NOT_FOUND, "no service is named 'nobody'")
    for pair in (("", "db"), ("db", ""), ("db", "db"), ("web-shop", "web"), ("web", "db")):
        assert (await refused(*pair))[0] is grpc.StatusCode.INVALID_ARGUMENT, pair
    assert "'web' is an alias of the service 'web-shop'" in (await refused("web", "db"))[1]


async def test_the_account_of_writes_counts_what_aliases_and_merges_change(stubs: Stubs) -> None:
    await stubs.write_edges("shop>db", "shop>web-shop", "shop>cache")
    request = pb.MergeServicesRequest(from_service_id="shop", into_service_id="web-shop", validate_only=True)
    await stubs.catalog.MergeServices(request)
    request.validate_only = False
    await stubs.catalog.MergeServices(request)
    await add(stubs, "shop", "web-shop")

    listed = await stubs.access.ListWrites(ListWritesRequest(page_size=2))

    added, merged = listed.writes
    assert (added.method, added.counts.services_updated) == ("depgraph.v1.CatalogService/AddAlias", 0)
    assert merged.method == "depgraph.v1.CatalogService/MergeServices"
    assert (merged.counts.services_updated, merged.counts.services_deleted) == (1, 1)
    assert (merged.counts.dependencies_updated, merged.counts.dependencies_deleted) == (2, 2)
