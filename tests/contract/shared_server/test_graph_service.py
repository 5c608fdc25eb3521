"""GraphService over a real channel: adjacency, components, status, and how fresh answers are."""

import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_KUBERNETES, Consistency, Service
from server.config import Limits, Settings
from server.domain.revision import Revision
from tests.support.calls import FRESH, Stubs, edges
from tests.support.deadlines import answer_early
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=Limits(max_part_bytes=4_000))


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def adjacency(stubs: Stubs, *, include_stale: bool = False) -> list[pb.GetAdjacencyListResponse]:
    request = pb.GetAdjacencyListRequest(include_stale=include_stale, consistency=FRESH)
    return [message async for message in stubs.graph.GetAdjacencyList(request)]


def pairs(messages: list[pb.GetAdjacencyListResponse]) -> list[tuple[str, list[str]]]:
    return [(message.service_id, list(message.target_service_ids)) for message in messages]


async def status(stubs: Stubs) -> pb.GetStatusResponse:
    # Whatever memory held when this returns is at least as fresh as what was written before.
    await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    return await stubs.graph.GetStatus(pb.GetStatusRequest())


async def component(stubs: Stubs, name: str) -> pb.Component:
    request = pb.GetComponentRequest(service_id=name, consistency=FRESH)
    return (await stubs.graph.GetComponent(request)).component


async def test_each_service_is_listed_with_its_distinct_targets_sorted(stubs: Stubs) -> None:
    await stubs.write_edges("b>é", "b>c", "b>a", "a>b")
    await stubs.write_edges("b>a", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    await stubs.write_edges("c>a", is_stale=True)
    messages = await adjacency(stubs)
    assert pairs(messages) == [("a", ["b"]), ("b", ["a", "c", "é"]), ("c", []), ("é", [])]
    assert [message.HasField("freshness") for message in messages] == [True, False, False, False]
    assert pairs(await adjacency(stubs, include_stale=True))[2] == ("c", ["a"])


async def test_an_empty_graph_has_no_adjacency(stubs: Stubs) -> None:
    assert await adjacency(stubs) == []


async def test_a_service_with_very_many_targets_takes_several_messages(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"hub>target {number:04}" for number in range(1_000)))
    messages = [message for message in await adjacency(stubs) if message.service_id == "hub"]
    assert len(messages) > 2
    assert [name for message in messages for name in message.target_service_ids] == [
        f"target {number:04}" for number in range(1_000)
    ]


async def test_components_are_listed_largest_first_then_by_first_member(stubs: Stubs) -> None:
    await stubs.write_edges("y>z", "z>y", "a>b", "b>a", "k>l", "l>m", "m>k", "l>k", "a>k")
    answer = await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    assert [(list(c.members), c.size, c.edge_count, c.is_cycle) for c in answer.components] == [
        (["k", "l", "m"], 3, 4, True),
        (["a", "b"], 2, 2, True),
        (["y", "z"], 2, 2, True),
    ]
    assert (answer.total_count, answer.next_page_token) == (3, "")


async def test_components_of_a_single_service_are_listed_on_request(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>a", "a>c")
    for min_size, expected in ((1, ["ab", "c"]), (2, ["ab"]), (3, [])):
        request = pb.ListComponentsRequest(min_size=min_size, consistency=FRESH)
        answer = await stubs.graph.ListComponents(request)
        assert ["".join(found.members) for found in answer.components] == expected
        assert answer.total_count == len(expected)


async def test_stale_dependencies_make_no_cycle(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    await stubs.write_edges("b>a", is_stale=True)
    assert list((await component(stubs, "a")).members) == ["a"]


async def test_a_service_on_no_cycle_is_a_component_by_itself(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>a", "b>c")
    alone, cycle = await component(stubs, "c"), await component(stubs, "b")
    assert (list(alone.members), alone.size, alone.edge_count, alone.is_cycle) == (["c"], 1, 0, False)
    assert (list(cycle.members), cycle.is_cycle) == (["a", "b"], True)


@pytest.mark.parametrize("named_at_once", [5_000, 0], ids=["named at once", "named aside"])
async def test_members_come_page_by_page(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch, named_at_once: int
) -> None:
    monkeypatch.setattr("graphcore.components.components.NAMED_AT_ONCE", named_at_once)
    await stubs.write_edges("a>b", "b>c", "c>d", "d>e", "e>a", "e>f")
    request = pb.GetComponentRequest(service_id="c", page_size=2, consistency=FRESH)
    pages: list[str] = []
    while not pages or request.page_token:
        answer = await stubs.graph.GetComponent(request)
        assert (answer.component.size, answer.component.edge_count) == (5, 5)
        pages.append("".join(answer.component.members))
        request.page_token = answer.next_page_token
    assert pages == ["ab", "cd", "e"]
    whole = await stubs.graph.GetComponent(pb.GetComponentRequest(service_id="c"))
    assert ("".join(whole.component.members), whole.next_page_token) == ("abcde", "")
    listed = await stubs.graph.ListComponents(pb.ListComponentsRequest())
    assert ["".join(found.members) for found in listed.components] == ["abcde"]


async def test_a_token_of_members_belongs_to_its_service(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a")
    request = pb.GetComponentRequest(service_id="a", page_size=1, consistency=FRESH)
    token = (await stubs.graph.GetComponent(request)).next_page_token
    failure = await failure_of(
        stubs.graph.GetComponent(pb.GetComponentRequest(service_id="b", page_size=-1, page_token=token))
    )
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(failure.fields) == ["page_size", "page_token"]


async def test_the_component_of_an_unknown_service_is_not_found(stubs: Stubs) -> None:
    failure = await failure_of(component(stubs, "missing"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")


async def test_status_counts_what_is_in_memory(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c")
    await stubs.write_edges("c>a", is_stale=True)
    returned = await status(stubs)
    assert (returned.service_count, returned.dependency_count, returned.stale_dependency_count) == (3, 3, 1)
    assert returned.waiting_dependency_count == 0
    assert (returned.feed_state, returned.warm_count) == (pb.FEED_STATE_FOLLOWING, 1)
    assert returned.server_version
    assert returned.start_time.seconds > 0
    assert returned.freshness.revision


async def test_status_returns_the_last_report_of_each_source(stubs: Stubs) -> None:
    report = dependencies.IngestGraphRequest(discovery_source=DISCOVERY_SOURCE_KUBERNETES, edges=edges("a>b"))
    report.observe_time.FromJsonString("2026-01-01T00:00:00Z")
    await stubs.dependencies.IngestGraph(report)
    [returned] = (await status(stubs)).last_ingestions
    assert returned.discovery_source == DISCOVERY_SOURCE_KUBERNETES
    assert returned.observe_time == report.observe_time
    assert returned.ingest_time.seconds > report.observe_time.seconds


async def test_a_write_is_seen_by_a_read_at_its_revision(stubs: Stubs) -> None:
    for number in range(20):
        created = await stubs.catalog.CreateService(
            catalog.CreateServiceRequest(service=Service(service_id=f"s{number}"))
        )
        consistency = Consistency(at_least_as_fresh=created.revision)
        request = pb.GetComponentRequest(service_id=f"s{number}", consistency=consistency)
        assert list((await stubs.graph.GetComponent(request)).component.members) == [f"s{number}"]


async def test_an_answer_is_never_older_than_the_answer_before(stubs: Stubs) -> None:
    first = await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    again = Consistency(at_least_as_fresh=first.freshness.revision)
    assert (await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=again))).freshness.revision


async def test_a_revision_that_is_not_ours_is_refused(stubs: Stubs) -> None:
    request = pb.GetComponentRequest(service_id="a", consistency=Consistency(at_least_as_fresh="latest"))
    failure = await failure_of(stubs.graph.GetComponent(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REVISION")
    assert list(failure.fields) == ["consistency.at_least_as_fresh"]


async def test_a_revision_of_another_database_is_unknown(stubs: Stubs) -> None:
    elsewhere = Revision("1:2:00000000-0000-4000-8000-000000000000", xid=7).token
    request = pb.GetComponentRequest(service_id="a", consistency=Consistency(at_least_as_fresh=elsewhere))
    failure = await failure_of(stubs.graph.GetComponent(request))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REVISION_UNKNOWN")


async def test_a_read_that_waits_learns_why_before_its_own_deadline(
    stubs: Stubs, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_early(monkeypatch)
    first = await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    ours = Revision.parse(first.freshness.revision)
    future = Revision(ours.feed_id, xid=2**62).token
    request = pb.GetComponentRequest(service_id="a", consistency=Consistency(at_least_as_fresh=future))
    failure = await failure_of(stubs.graph.GetComponent(request, timeout=2.0))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "REPLICA_BEHIND")
    assert failure.retry_after is not None
    assert "lag_ms" in failure.metadata
