"""What pictures are drawn from: searches, neighbourhoods and maps, over a real channel."""

import math
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import Struct

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    CRITICALITY_CRITICAL,
    CRITICALITY_LOW,
    DISCOVERY_SOURCE_KUBERNETES,
    SERVICE_KIND_DATABASE,
    Consistency,
    Service,
)
from server.config import Limits, Settings
from tests.support.calls import FRESH, Stubs, edges
from tests.support.failures import failure_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=20_000)
BAD_FILTER = pb.EdgeFilter(min_confidence=2)
BAD_CONSISTENCY = Consistency(minimize_latency=False)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Write a shop: a page and a till call the cart, which calls a database and mail."""
    stubs = Stubs(channel)
    await stubs.write_edges("page>cart", "till>cart", "cart>db", "cart>mail", "mail>db")
    await stubs.write_edges("cart>mail", discovery_source=DISCOVERY_SOURCE_KUBERNETES, timeout_ms=7)
    await stubs.write_edges("page>mail", communication_mode=COMMUNICATION_MODE_ASYNC)
    await stubs.write_edges("till>old", is_stale=True)
    shop = Struct()
    shop.update({"namespace": "shop"})
    rows = [
        Service(service_id="page", team="web", criticality=CRITICALITY_CRITICAL, metadata=shop),
        Service(service_id="till", team="web", criticality=CRITICALITY_LOW, metadata=shop),
        Service(service_id="cart", team="pay", metadata=shop),
        Service(service_id="mail", team="ops"),
        Service(service_id="db", kind=SERVICE_KIND_DATABASE),
    ]
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=rows))
    await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias="basket", service_id="cart"))
    return stubs


async def around(stubs: Stubs, service: str, **said: object) -> pb.GetNeighbourhoodResponse:
    request = pb.GetNeighbourhoodRequest(service_id=service, consistency=FRESH, **said)  # type: ignore[arg-type]
    return await stubs.graph.GetNeighbourhood(request)


def places(answer: pb.GetNeighbourhoodResponse) -> list[str]:
    signs = {pb.DIRECTION_UPSTREAM: "-", pb.DIRECTION_DOWNSTREAM: "+"}
    return [f"{signs[each.direction]}{each.depth} {each.service.service_id}" for each in answer.neighbours]


async def test_a_neighbourhood_has_whole_services_and_the_dependencies_that_traverse_finds(
    stubs: Stubs,
) -> None:
    answer = await around(stubs, "basket", max_depth=2)
    assert places(answer) == ["-1 page", "-1 till", "+1 db", "+1 mail"]
    assert [(each.alias, each.service_id) for each in answer.resolved_aliases] == [("basket", "cart")]
    assert answer.center.metadata["namespace"] == "shop"
    assert answer.neighbours[0].service.team == "web"
    assert answer.freshness.revision
    walked = await stubs.graph.Traverse(
        pb.TraverseRequest(service_id="cart", direction=pb.DIRECTION_BOTH, max_depth=2, effective=True)
    )
    assert {each.SerializeToString() for each in answer.dependencies} == {
        each.SerializeToString() for each in walked.effective_dependencies
    }
    assert (len(answer.groups), len(answer.group_calls)) == (0, 0)


async def test_what_is_not_shown_is_in_groups_and_a_group_that_is_opened_is_shown(stubs: Stubs) -> None:
    answer = await around(stubs, "cart", max_services=1)
    assert places(answer) == ["-1 page"]
    named = [(each.selector.team, each.service_count, each.highest_criticality) for each in answer.groups]
    assert [team for team, _, _ in named] == ["web", "", "ops"]
    opened = [answer.groups[2].selector]
    assert places(await around(stubs, "cart", max_services=1, opened_groups=opened)) == ["+1 mail"]
    calls = {
        (each.source.service_id or each.source.group, each.target.service_id or each.target.group): each.calls
        for each in answer.group_calls
    }
    assert calls[0, "cart"] == pb.CountedCalls(pair_count=1, sync_count=1)


async def test_filters_and_kinds_hold_for_a_neighbourhood(stubs: Stubs) -> None:
    without = pb.EdgeFilter(exclude_kinds=[SERVICE_KIND_DATABASE])
    assert places(await around(stubs, "cart", filter=without)) == ["-1 page", "-1 till", "+1 mail"]
    # The service in the middle may be of such a kind.
    assert places(await around(stubs, "db", filter=without)) == ["-1 cart", "-1 mail"]
    downstream = {"direction": pb.DIRECTION_DOWNSTREAM}
    assert places(await around(stubs, "till", **downstream)) == ["+1 cart"]
    assert places(await around(stubs, "till", include_stale=True, **downstream)) == ["+1 cart", "+1 old"]
    waiting = pb.EdgeFilter(communication_modes=[COMMUNICATION_MODE_ASYNC])
    assert places(await around(stubs, "page", filter=waiting)) == ["+1 mail"]


async def test_a_service_that_is_as_near_on_both_sides_is_upstream(stubs: Stubs) -> None:
    await stubs.write_edges("mail>cart")
    answer = await around(stubs, "mail")
    assert places(answer) == ["-1 cart", "-1 page", "+1 db"]
    assert [each.other_depth for each in answer.neighbours] == [1, 0, 0]


async def test_a_map_of_one_service_has_one_node_in_the_middle(channel: grpc.aio.Channel) -> None:
    stubs = Stubs(channel)
    await stubs.catalog.BatchUpsertServices(
        catalog.BatchUpsertServicesRequest(services=[Service(service_id="alone", kind=SERVICE_KIND_DATABASE)])
    )
    for inside in (None, ""):
        [node] = (await mapped(stubs, inside=inside)).nodes
        assert (node.x, node.y, node.service_count) == (0.5, 0.5, 1)
    without = pb.EdgeFilter(exclude_kinds=[SERVICE_KIND_DATABASE])
    answer = await mapped(stubs, filter=without)
    assert (list(answer.nodes), answer.group_count, answer.service_count) == ([], 0, 0)
    # A picture has to begin somewhere, if every service is of an excluded kind.
    assert (await around(stubs, "", filter=without)).center.service_id == "alone"


async def test_services_with_more_callers_are_shown_first_and_teams_have_so_many_groups(
    stubs: Stubs,
) -> None:
    await stubs.write_edges("cart>zoo", "page>zoo", "till>zoo", "cart>abc")
    downstream = {"direction": pb.DIRECTION_DOWNSTREAM, "max_services": 1}
    answer = await around(stubs, "cart", max_teams=1, **downstream)
    assert places(answer) == ["+1 zoo"]
    named = [(each.selector.team, each.selector.other_teams, each.service_count) for each in answer.groups]
    assert named == [("", False, 2), ("", True, 1)]


async def test_without_a_name_the_most_critical_service_is_in_the_middle(stubs: Stubs) -> None:
    assert (await around(stubs, "")).center.service_id == "page"


async def test_an_empty_graph_has_no_service_to_begin_with(channel: grpc.aio.Channel) -> None:
    failure = await failure_of(around(Stubs(channel), ""))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert "no services yet" in failure.message
    answer = await Stubs(channel).graph.GetMap(pb.GetMapRequest(consistency=FRESH))
    assert (list(answer.nodes), answer.group_count, answer.service_count) == ([], 0, 0)
    found = await Stubs(channel).graph.SearchServices(pb.SearchServicesRequest(query="a"))
    assert found.match_count == 0


async def searched(stubs: Stubs, query: str, **said: object) -> list[str]:
    request = pb.SearchServicesRequest(query=query, consistency=FRESH, **said)  # type: ignore[arg-type]
    answer = await stubs.graph.SearchServices(request)
    return [
        f"{each.service.service_id} {pb.MatchKind.Name(each.match_kind).removeprefix('MATCH_KIND_').lower()}"
        + f" {each.alias}".rstrip()
        for each in answer.matches
    ]


async def test_searches_find_names_and_aliases_in_any_case(stubs: Stubs) -> None:
    assert await searched(stubs, "CART") == ["cart exact"]
    assert await searched(stubs, "bask") == ["cart prefix basket"]
    assert await searched(stubs, " basket ") == ["cart exact basket"]
    assert await searched(stubs, "crat") == ["cart similar"]
    assert await searched(stubs, "a", max_matches=2) == ["page substring", "cart substring"]
    assert await searched(stubs, "", team="web") == ["page prefix", "till prefix"]
    assert await searched(stubs, "", kind=SERVICE_KIND_DATABASE) == ["db prefix"]
    assert await searched(stubs, "nothing like it") == []


async def mapped(stubs: Stubs, **said: object) -> pb.GetMapResponse:
    return await stubs.graph.GetMap(pb.GetMapRequest(consistency=FRESH, **said))  # type: ignore[arg-type]


async def test_a_map_has_groups_by_team_or_by_metadata(stubs: Stubs) -> None:
    answer = await mapped(stubs)
    assert [(node.group, node.service_count) for node in answer.nodes] == [
        ("", 2),
        ("web", 2),
        ("ops", 1),
        ("pay", 1),
    ]
    by_namespace = await mapped(stubs, metadata_key="namespace")
    assert [node.group for node in by_namespace.nodes] == ["", "shop"]
    [call] = by_namespace.calls
    assert (call.source, call.target, call.calls.pair_count) == (1, 0, 3)
    inside = await mapped(stubs, inside="web")
    assert [node.service.service_id or node.group for node in inside.nodes] == ["page", "till", "pay", "ops"]
    assert inside.nodes[0].service.metadata["namespace"] == "shop"


async def test_nodes_keep_their_places_and_move_little_when_a_call_comes(stubs: Stubs) -> None:
    before, again = await mapped(stubs), await mapped(stubs)
    assert [(node.x, node.y) for node in before.nodes] == [(node.x, node.y) for node in again.nodes]
    more = dependencies.BatchUpsertDependenciesRequest(dependencies=edges("mail>till"))
    await stubs.dependencies.BatchUpsertDependencies(more)
    after = await mapped(stubs)
    assert len(after.calls) == len(before.calls) + 1
    former = {node.group: (node.x, node.y) for node in before.nodes}
    assert {node.group for node in after.nodes} == former.keys()
    moved = {node.group: math.dist((node.x, node.y), former[node.group]) for node in after.nodes}
    # A call of "ops" to "web" came; the others only make room.
    assert max(moved["pay"], moved[""]) < 0.1


async def test_a_group_that_is_not_there_is_named(stubs: Stubs) -> None:
    failure = await failure_of(mapped(stubs, inside="nobody"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "GROUP_NOT_FOUND")
    assert (failure.message, failure.metadata["group"]) == ("no service has the team 'nobody'", "nobody")
    failure = await failure_of(mapped(stubs, inside="x", metadata_key="namespace"))
    assert failure.message == "no service has the text 'x' under 'namespace'"


async def test_every_bad_field_is_named(stubs: Stubs) -> None:
    selector = pb.GroupSelector(direction=pb.DIRECTION_BOTH, depth=11, team="a", other_teams=True)
    calls: dict[Awaitable[Any], list[str]] = {
        stubs.graph.GetNeighbourhood(
            pb.GetNeighbourhoodRequest(
                service_id="a" * 256,
                direction=9,  # type: ignore[arg-type]
                max_depth=11,
                filter=BAD_FILTER,
                max_services=1_001,
                opened_groups=[selector],
                consistency=BAD_CONSISTENCY,
                max_teams=101,
            )
        ): [
            *("direction", "max_depth", "max_services", "max_teams", "service_id", "filter.min_confidence"),
            *(f"opened_groups[0].{name}" for name in ("direction", "depth", "team")),
            "consistency.minimize_latency",
        ],
        stubs.graph.SearchServices(
            pb.SearchServicesRequest(
                query="a" * 256,
                team="\0",
                kind=99,  # type: ignore[arg-type]
                max_matches=101,
                consistency=BAD_CONSISTENCY,
            )
        ): ["max_matches", "query", "team", "kind", "consistency.minimize_latency"],
        stubs.graph.GetMap(
            pb.GetMapRequest(
                metadata_key="a" * 256, filter=BAD_FILTER, max_nodes=1, consistency=BAD_CONSISTENCY
            )
        ): ["max_nodes", "metadata_key", "filter.min_confidence", "consistency.minimize_latency"],
    }
    for call, fields in calls.items():
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert sorted(failure.fields) == sorted(fields)


async def test_an_answer_beyond_the_limit_says_what_to_ask_for(stubs: Stubs) -> None:
    wide = Struct()
    wide.update({"about": "x" * 3_000})
    names = [f"wide-{number}" for number in range(10)]
    await stubs.write_edges(*(f"{name}>cart" for name in names))
    rows = [Service(service_id=name, metadata=wide, team="wide") for name in names]
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=rows))
    for call, instead in (
        (around(stubs, "cart"), "max_services"),
        (searched(stubs, "wide"), "max_matches"),
        (mapped(stubs, inside="wide"), "max_nodes"),
    ):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
        assert instead in failure.message
