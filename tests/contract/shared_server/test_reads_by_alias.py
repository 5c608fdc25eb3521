"""Questions about services that are named by aliases: answered as for the service's own name."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from depgraph.v1 import analysis_service_pb2 as analysis
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_SYNC, Consistency, Dependency
from tests.support.calls import Stubs
from tests.support.failures import Failure, failure_of

FRESH = Consistency(fully_consistent=True)
BOTH = graph.DIRECTION_BOTH


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """A cycle `a>web-shop>db>a`, whose `web-shop` and `db` have the aliases `web` and `base`."""
    stubs = Stubs(channel)
    await stubs.write_edges("a>web-shop", "web-shop>db", "db>a")
    for alias, service in (("web", "web-shop"), ("base", "db")):
        await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias=alias, service_id=service))
    await stubs.graph.Traverse(graph.TraverseRequest(service_id="a", direction=BOTH, consistency=FRESH))
    return stubs


async def whole(answer: Any) -> Any:
    """Wait for an answer; the parts of a stream are put together."""
    if not hasattr(answer, "__aiter__"):
        return await answer
    parts = [part async for part in answer]
    for part in parts[1:]:
        parts[0].MergeFromString(part.SerializeToString())
    return parts[0]


# What to ask about a service, in all calls that take one.
ASK: dict[str, Callable[[Stubs, str], Any]] = {
    "GetService": lambda stubs, name: stubs.catalog.GetService(catalog.GetServiceRequest(service_id=name)),
    "ListDependencies": lambda stubs, name: stubs.dependencies.ListDependencies(
        dependencies.ListDependenciesRequest(source_service_id=name)
    ),
    "ListDependencies of a target": lambda stubs, name: stubs.dependencies.ListDependencies(
        dependencies.ListDependenciesRequest(target_service_id=name)
    ),
    "Traverse": lambda stubs, name: stubs.graph.Traverse(
        graph.TraverseRequest(service_id=name, direction=BOTH)
    ),
    "Traverse of ids": lambda stubs, name: stubs.graph.Traverse(
        graph.TraverseRequest(service_id=name, direction=BOTH, view=graph.TRAVERSAL_VIEW_IDS)
    ),
    "Traverse, fresh and effective": lambda stubs, name: stubs.graph.Traverse(
        graph.TraverseRequest(service_id=name, direction=BOTH, effective=True, consistency=FRESH)
    ),
    "StreamTraverse": lambda stubs, name: stubs.graph.StreamTraverse(
        graph.StreamTraverseRequest(service_id=name, direction=BOTH)
    ),
    "StreamTraverse, effective": lambda stubs, name: stubs.graph.StreamTraverse(
        graph.StreamTraverseRequest(service_id=name, direction=BOTH, effective=True)
    ),
    "GetComponent": lambda stubs, name: stubs.graph.GetComponent(graph.GetComponentRequest(service_id=name)),
    "GetComponent, page by page": lambda stubs, name: stubs.graph.GetComponent(
        graph.GetComponentRequest(service_id=name, page_size=2)
    ),
    "SuggestCuts": lambda stubs, name: stubs.analyses.SuggestCuts(
        analysis.SuggestCutsRequest(service_id=name)
    ),
    "AnalyzeImpact": lambda stubs, name: stubs.analyses.AnalyzeImpact(
        analysis.AnalyzeImpactRequest(service_id=name)
    ),
    "FindPaths": lambda stubs, name: stubs.analyses.FindPaths(
        analysis.FindPathsRequest(source_service_id=name, target_service_id="a")
    ),
    "FindPaths to it": lambda stubs, name: stubs.analyses.FindPaths(
        analysis.FindPathsRequest(source_service_id="a", target_service_id=name)
    ),
    "AuditPaths": lambda stubs, name: stubs.analyses.AuditPaths(analysis.AuditPathsRequest(service_id=name)),
    "ListDrift": lambda stubs, name: stubs.analyses.ListDrift(analysis.ListDriftRequest(service_id=name)),
    "CheckChange": lambda stubs, name: stubs.analyses.CheckChange(
        analysis.CheckChangeRequest(
            added=[edge("x", name)],
            removed=[analysis.DependencyKey(source_service_id=name, target_service_id="db")],
        )
    ),
}


def edge(source: str, target: str) -> Dependency:
    return Dependency(
        source_service_id=source,
        target_service_id=target,
        communication_mode=COMMUNICATION_MODE_SYNC,
    )


@pytest.mark.parametrize("question", ASK)
async def test_an_alias_is_answered_as_the_own_name_and_the_answer_says_so(
    stubs: Stubs, question: str
) -> None:
    own: Any = await whole(ASK[question](stubs, "web-shop"))
    by_alias: Any = await whole(ASK[question](stubs, "web"))

    assert [(each.alias, each.service_id) for each in by_alias.resolved_aliases] == [("web", "web-shop")]
    for answer in (own, by_alias):
        for name in ("resolved_aliases", "freshness", "next_page_token"):
            if name in answer.DESCRIPTOR.fields_by_name:
                answer.ClearField(name)
    assert by_alias == own
    assert own.ByteSize() > 0


async def test_a_batch_resolves_each_request(stubs: Stubs) -> None:
    requests = [
        graph.TraverseRequest(service_id=name, direction=BOTH) for name in ("web", "nobody", "db", "base")
    ]
    answer = await stubs.graph.BatchTraverse(graph.BatchTraverseRequest(requests=requests))

    walked = [result.traversal for result in answer.responses]
    resolved = [[(each.alias, each.service_id) for each in walk.resolved_aliases] for walk in walked]
    assert resolved == [[("web", "web-shop")], [], [], [("base", "db")]]
    assert walked[2].services == walked[3].services
    assert answer.responses[1].error.message == "no service named 'nobody'"


async def test_a_path_leads_from_one_service_to_another_by_their_own_names(stubs: Stubs) -> None:
    found = await stubs.analyses.FindPaths(
        analysis.FindPathsRequest(source_service_id="web", target_service_id="base")
    )
    assert [list(path.service_ids) for path in found.paths] == [["web-shop", "db"]]
    assert [each.alias for each in found.resolved_aliases] == ["web", "base"]

    same = analysis.FindPathsRequest(source_service_id="web", target_service_id="web-shop")
    failure = await failure_of(stubs.analyses.FindPaths(same))
    assert (failure.code, *failure.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "source_service_id",
        "target_service_id",
    )


async def test_a_change_is_checked_under_the_own_names(stubs: Stubs) -> None:
    async def refused(*added: Dependency) -> Failure:
        request = analysis.CheckChangeRequest(added=added)
        return await failure_of(stubs.analyses.CheckChange(request))

    twice = await refused(edge("web", "x"), edge("web-shop", "x"))
    assert list(twice.fields) == ["added[1]"]
    itself = await refused(edge("web", "web-shop"))
    assert list(itself.fields) == ["added[0].target_service_id"]


async def test_services_are_listed_by_parts_of_their_aliases(stubs: Stubs) -> None:
    async def found(query: str) -> list[str]:
        answer = await stubs.catalog.ListServices(catalog.ListServicesRequest(query=query))
        return sorted(row.service_id for row in answer.services)

    assert await found("BAS") == ["db"]
    assert await found("b") == ["db", "web-shop"]
    assert await found("nobody") == []


async def test_a_name_that_is_no_alias_any_more_is_unknown(stubs: Stubs) -> None:
    removed = await stubs.catalog.RemoveAlias(catalog.RemoveAliasRequest(alias="web"))
    fresh = Consistency(at_least_as_fresh=removed.revision)
    asked = graph.TraverseRequest(service_id="web", direction=BOTH, consistency=fresh)
    failure = await failure_of(stubs.graph.Traverse(asked))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
