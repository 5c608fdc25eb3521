"""IngestGraph over a real channel."""

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import GetComponentRequest
from depgraph.v1.types_pb2 import Consistency, Dependency, Service
from tests.support.calls import Stubs, edges
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

FIRST = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def report(*written: str, nodes: tuple[dict[str, Any], ...] = (), **said: Any) -> pb.IngestGraphRequest:
    content: dict[str, Any] = {"discovery_source": "DISCOVERY_SOURCE_KUBERNETES", "nodes": nodes, **said}
    request = ParseDict(content, pb.IngestGraphRequest())
    request.edges.extend(edges(*written))
    return request


async def ingest(stubs: Stubs, request: pb.IngestGraphRequest) -> tuple[int, int, int, int]:
    answer = await stubs.dependencies.IngestGraph(request)
    assert answer.revision
    return answer.services_created, answer.edges_created, answer.edges_updated, answer.edges_unchanged


async def service(stubs: Stubs, name: str) -> Service:
    return (await stubs.catalog.GetService(catalog.GetServiceRequest(service_id=name))).service


async def only_edge(stubs: Stubs) -> Dependency:
    [row] = (await stubs.dependencies.ListDependencies(pb.ListDependenciesRequest())).dependencies
    return row


async def test_unknown_services_are_created_as_discovered(stubs: Stubs) -> None:
    nodes = ({"service_id": "web", "team": "shop", "metadata": {"image": "web:1"}},)
    assert await ingest(stubs, report("web>cart", "cart>stock", nodes=nodes)) == (3, 2, 0, 0)
    web, cart = await service(stubs, "web"), await service(stubs, "cart")
    assert (web.discovered, web.team, MessageToDict(web.metadata)) == (True, "shop", {"image": "web:1"})
    assert (cart.discovered, cart.HasField("team")) == (True, False)


async def test_the_same_report_again_changes_nothing(stubs: Stubs) -> None:
    request = report("web>cart", "cart>stock", nodes=({"service_id": "web"},), observe_time=FIRST)
    await ingest(stubs, request)
    before = await only_edge_ids(stubs)
    assert await ingest(stubs, request) == (0, 0, 0, 2)
    assert await only_edge_ids(stubs) == before


async def only_edge_ids(stubs: Stubs) -> set[str]:
    answer = await stubs.dependencies.ListDependencies(pb.ListDependenciesRequest())
    return {row.id for row in answer.dependencies}


async def test_a_changed_edge_counts_as_updated_and_a_seen_one_as_unchanged(stubs: Stubs) -> None:
    await ingest(stubs, report("a>b", "b>c"))
    again = report("b>c", "c>d")
    again.edges.extend(edges("a>b", protocol="http"))
    assert await ingest(stubs, again) == (1, 1, 1, 1)


async def test_the_time_of_observation_never_goes_back(stubs: Stubs) -> None:
    await ingest(stubs, report("a>b", observe_time=LATER))
    await ingest(stubs, report("a>b", observe_time=FIRST))
    assert (await only_edge(stubs)).last_observed_time.ToJsonString() == LATER


async def test_without_a_time_a_report_is_of_now(stubs: Stubs) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    await ingest(stubs, report("a>b"))
    assert (await only_edge(stubs)).last_observed_time.ToDatetime(tzinfo=UTC) > before


async def test_an_edge_seen_again_is_fresh_again(stubs: Stubs) -> None:
    await ingest(stubs, report("a>b", observe_time=FIRST))
    stale = pb.MarkStaleRequest()
    stale.observed_before.FromJsonString(LATER)
    assert (await stubs.dependencies.MarkStale(stale)).marked_count == 1
    await ingest(stubs, report("a>b", observe_time=LATER))
    assert (await only_edge(stubs)).is_stale is False


async def test_what_a_person_wrote_about_a_service_is_kept_with_a_warning(stubs: Stubs) -> None:
    written = Service(service_id="web", team="people")
    await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=written))
    answer = await stubs.dependencies.IngestGraph(report(nodes=({"service_id": "web", "team": "robots"},)))
    assert (await service(stubs, "web")).team == "people"
    assert any("web" in warning for warning in answer.warnings)


async def test_a_report_with_one_bad_edge_writes_nothing(stubs: Stubs) -> None:
    request = report("a>b", "c>c", nodes=({"service_id": "n"},))
    failure = await failure_of(stubs.dependencies.IngestGraph(request))
    assert (failure.code, list(failure.fields)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        ["edges[1].target_service_id"],
    )
    assert not (await stubs.catalog.ListServices(catalog.ListServicesRequest())).services


async def test_an_empty_report_is_a_report(stubs: Stubs) -> None:
    assert await ingest(stubs, report()) == (0, 0, 0, 0)


async def test_a_report_from_the_far_future_is_refused(stubs: Stubs) -> None:
    request = report("a>b", observe_time="9999-12-31T23:59:59.999999999Z")
    failure = await failure_of(stubs.dependencies.IngestGraph(request))
    assert (failure.code, list(failure.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, ["observe_time"])


@pytest.mark.parametrize("written", [(), ("a>b",)])
async def test_the_earliest_time_neither_fails_nor_stops_the_feed(
    stubs: Stubs, written: tuple[str, ...]
) -> None:
    request = report(*written, nodes=({"service_id": "n"},), observe_time="0001-01-01T00:00:00Z")
    answer = await stubs.dependencies.IngestGraph(request)
    fresh = Consistency(at_least_as_fresh=answer.revision)
    found = await stubs.graph.GetComponent(GetComponentRequest(service_id="n", consistency=fresh))
    assert found.component.members == ["n"]
