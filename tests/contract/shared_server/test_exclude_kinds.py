"""Kinds of services that a question leaves out, over a real channel and by the command."""

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as analyses
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_QUEUE,
    SERVICE_KIND_SERVICE,
    SERVICE_KIND_UNSPECIFIED,
    Service,
    ServiceKind,
)
from tests.support.calls import FRESH, Stubs
from tests.support.command import Command
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

WITHOUT = pb.EdgeFilter(exclude_kinds=[SERVICE_KIND_DATABASE, SERVICE_KIND_QUEUE])


@pytest_asyncio.fixture(loop_scope="module")
async def stubs(channel: grpc.aio.Channel) -> Stubs:
    """Write a shop in which two services share a database, and two a queue."""
    stubs = Stubs(channel)
    await stubs.write_edges("web>cart", "cart>db", "cart>jobs", "jobs>report", "report>db", timeout_ms=5)
    kinds = {"web": "SERVICE", "db": "DATABASE", "jobs": "QUEUE", "report": "SERVICE", "cart": "SERVICE"}
    await stubs.catalog.BatchUpsertServices(
        catalog.BatchUpsertServicesRequest(
            services=[
                Service(service_id=name, kind=ServiceKind.Value(f"SERVICE_KIND_{kind}"))
                for name, kind in kinds.items()
            ]
        )
    )
    return stubs


async def reached(stubs: Stubs, start: str, excluded: pb.EdgeFilter, *, effective: bool = False) -> list[str]:
    request = pb.TraverseRequest(
        service_id=start,
        max_depth=5,
        filter=excluded,
        consistency=FRESH,
        direction=pb.DIRECTION_BOTH,
        effective=effective,
    )
    answer = await stubs.graph.Traverse(request)
    pairs = answer.effective_dependencies if effective else answer.dependencies
    calls = sorted(f"{each.source_service_id}>{each.target_service_id}" for each in pairs)
    streamed = pb.StreamTraverseRequest.FromString(request.SerializeToString())
    parts = [part async for part in stubs.graph.StreamTraverse(streamed)]
    assert [name for part in parts for name in part.service_ids] == list(answer.service_ids)
    batch = await stubs.graph.BatchTraverse(pb.BatchTraverseRequest(requests=[request]))
    assert batch.responses[0].traversal.service_ids == answer.service_ids
    return [*sorted(answer.service_ids), *calls]


@pytest.mark.parametrize("effective", [False, True])
async def test_walks_neither_reach_nor_cross_services_of_an_excluded_kind(
    stubs: Stubs, effective: bool
) -> None:
    assert await reached(stubs, "web", WITHOUT, effective=effective) == ["cart", "web>cart"]
    without_queues = pb.EdgeFilter(exclude_kinds=[SERVICE_KIND_QUEUE])
    answer = await reached(stubs, "web", without_queues, effective=effective)
    assert answer == ["cart", "db", "cart>db", "web>cart"]


async def test_the_start_may_be_of_an_excluded_kind(stubs: Stubs) -> None:
    answer = await reached(stubs, "db", WITHOUT)
    assert answer == ["cart", "report", "web", "cart>db", "report>db", "web>cart"]


async def test_a_changed_kind_counts_from_the_next_fresh_question_on(stubs: Stubs) -> None:
    request = catalog.UpdateServiceRequest(service=Service(service_id="jobs", kind=SERVICE_KIND_SERVICE))
    await stubs.catalog.UpdateService(request)
    answer = await reached(stubs, "web", WITHOUT)
    assert answer == ["cart", "jobs", "report", "cart>jobs", "jobs>report", "web>cart"]


async def test_impact_leaves_kinds_out(stubs: Stubs) -> None:
    request = analyses.AnalyzeImpactRequest(service_id="report", filter=WITHOUT, consistency=FRESH)
    [part] = [part async for part in stubs.analyses.AnalyzeImpact(request)]
    assert part.summary.service_count == 0
    request.service_id = "db"
    [part] = [part async for part in stubs.analyses.AnalyzeImpact(request)]
    assert [each.service_id for each in part.services] == ["cart", "report", "web"]


async def test_paths_lead_through_no_excluded_kind_but_may_end_at_one(stubs: Stubs) -> None:
    ends = {"source_service_id": "cart", "target_service_id": "db", "max_paths": 9}
    request = ParseDict(ends, analyses.FindPathsRequest(filter=WITHOUT, consistency=FRESH))
    answer = await stubs.analyses.FindPaths(request)
    assert [list(path.service_ids) for path in answer.paths] == [["cart", "db"]]


async def test_audits_leave_kinds_out(stubs: Stubs) -> None:
    request = analyses.AuditPathsRequest(filter=WITHOUT, consistency=FRESH)
    answer = await stubs.analyses.AuditPaths(request)
    assert (answer.dependency_count, answer.timeout_count) == (1, 0)
    answer = await stubs.analyses.AuditPaths(analyses.AuditPathsRequest(consistency=FRESH))
    assert (answer.dependency_count, answer.timeout_count) == (5, 4)


async def test_drift_leaves_pairs_with_excluded_kinds_out(stubs: Stubs) -> None:
    request = analyses.ListDriftRequest(exclude_kinds=WITHOUT.exclude_kinds, consistency=FRESH)
    answer = await stubs.analyses.ListDrift(request)
    assert [(each.source_service_id, each.target_service_id) for each in answer.drifts] == [("web", "cart")]
    assert answer.total_count == 1
    request.service_id, request.page_size = "db", 1
    answer = await stubs.analyses.ListDrift(request)
    assert (answer.total_count, answer.drifts[0].source_service_id) == (2, "cart")
    request.page_token = answer.next_page_token
    del request.exclude_kinds[:]
    failure = await failure_of(stubs.analyses.ListDrift(request))
    assert failure.reason == "INVALID_PAGE_TOKEN"


async def test_an_unknown_kind_is_refused_with_its_field(stubs: Stubs) -> None:
    wrong = pb.EdgeFilter(exclude_kinds=[SERVICE_KIND_QUEUE, SERVICE_KIND_UNSPECIFIED])
    request = pb.TraverseRequest(service_id="web", direction=pb.DIRECTION_BOTH, filter=wrong)
    failure = await failure_of(stubs.graph.Traverse(request))
    assert list(failure.fields) == ["filter.exclude_kinds[1]"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("impact", "report"), "report: no other service is reached"),
        (("paths", "web", "report"), "web does not reach report"),
        (("audit",), "audited: 1 synchronous dependency, 1 with a timeout, 0 with retries"),
        (("drift", "web"), "1 call declared but not observed, or observed but not declared"),
    ],
)
async def test_commands_leave_kinds_out(
    quick_command: Command, stubs: Stubs, arguments: tuple[str, ...], line: str
) -> None:
    await stubs.graph.ListComponents(pb.ListComponentsRequest(consistency=FRESH))
    finished = await quick_command(*arguments, "--exclude-kind", "database", "--exclude-kind", "queue")
    assert line in finished.stdout.splitlines(), finished.stdout + finished.stderr
