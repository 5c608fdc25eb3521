"""Requests as domain values, and all violations with their paths."""

from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any, TypeVar

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1 import types_pb2 as pb
from graphcore import Direction, EdgeFilter, EdgeFlag
from server.config import Limits
from server.domain.errors import InvalidInputError, InvalidRevisionError, TooManyItemsError
from server.domain.live_graph import AtLeastAsFresh, FullyConsistent, MinimizeLatency
from server.domain.reports import CalleePolicy, IngestNode, ReportDetails, ReportedEdge
from server.domain.revision import Revision
from server.rpc.catalog import service_change, service_drafts
from server.rpc.dependency.drafts import dependency_drafts
from server.rpc.dependency.reports import ingest_batch
from server.rpc.graph.traverse import traverse_question
from server.rpc.questions import consistency
from server.rpc.validate import Check

Request = TypeVar("Request", bound=Message)
LIMITS = Limits(max_items=3)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REVISION = Revision("1:2:00000000-0000-4000-8000-000000000000", xid=4)
EDGE = {"source_service_id": "a", "target_service_id": "b", "communication_mode": "COMMUNICATION_MODE_SYNC"}


def fields_of(error: InvalidInputError) -> list[str]:
    return [violation.field for violation in error.violations]


def report(**content: Any) -> dependencies.IngestGraphRequest:
    content.setdefault("discovery_source", "DISCOVERY_SOURCE_KUBERNETES")
    return ParseDict(content, dependencies.IngestGraphRequest())


def question(**content: Any) -> graph.TraverseRequest:
    start = {"service_id": "a", "direction": "DIRECTION_UPSTREAM"}
    return ParseDict(start | content, graph.TraverseRequest())


def test_every_wrong_field_of_a_dependency_is_named() -> None:
    wrong = pb.Dependency(
        source_service_id="",
        target_service_id="b" * 256,
        criticality=9,  # type: ignore[arg-type] # no known number
        protocol="",
        timeout_ms=0,
        retry_config=pb.RetryConfig(max_retries=101, backoff_strategy=7),  # type: ignore[arg-type] # no known number
        discovery_source=9,  # type: ignore[arg-type] # no known number
        confidence_score=nan,
    )
    wrong.last_observed_time.seconds = 2**62
    request = dependencies.BatchUpsertDependenciesRequest(
        dependencies=[ParseDict(EDGE, pb.Dependency()), wrong]
    )
    with pytest.raises(InvalidInputError) as caught:
        dependency_drafts(request, LIMITS)
    assert sorted(fields_of(caught.value)) == [
        f"dependencies[1].{field}"
        for field in (
            "communication_mode",
            "confidence_score",
            "criticality",
            "discovery_source",
            "last_observed_time",
            "protocol",
            "retry_config.backoff_strategy",
            "retry_config.max_retries",
            "source_service_id",
            "target_service_id",
            "timeout_ms",
        )
    ]


def test_a_service_does_not_depend_on_itself() -> None:
    loop = ParseDict(EDGE | {"target_service_id": "a"}, pb.Dependency())
    with pytest.raises(InvalidInputError, match=r"dependencies\[0\].target_service_id: is the source too"):
        dependency_drafts(dependencies.BatchUpsertDependenciesRequest(dependencies=[loop]), LIMITS)


def test_a_repeated_key_in_a_batch_is_refused_by_position() -> None:
    edge = ParseDict(EDGE, pb.Dependency())
    other = ParseDict(EDGE | {"discovery_source": "DISCOVERY_SOURCE_KUBERNETES"}, pb.Dependency())
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=[edge, other, edge])
    with pytest.raises(InvalidInputError) as caught:
        dependency_drafts(request, LIMITS)
    assert fields_of(caught.value) == ["dependencies[2]"]


def test_a_batch_with_too_many_items_is_refused_before_they_are_checked() -> None:
    request = catalog.BatchUpsertServicesRequest(services=[pb.Service()] * 4)
    with pytest.raises(InvalidInputError) as caught:
        service_drafts(request, LIMITS)
    assert fields_of(caught.value) == ["services"]


def test_the_edges_of_a_report_take_its_discovery_source() -> None:
    edges = [EDGE, EDGE | {"target_service_id": "c", "discovery_source": "DISCOVERY_SOURCE_KUBERNETES"}]
    batch = ingest_batch(report(edges=edges), LIMITS, now=NOW)
    assert batch.discovery_source == "kubernetes"
    assert batch.observed_at == NOW
    assert [edge.target_service_id for edge in batch.edges] == ["b", "c"]


def test_unset_fields_of_a_node_stay_unset() -> None:
    nodes = [
        {"service_id": "a"},
        {"service_id": "b", "team": "t", "metadata": {}, "criticality": "CRITICALITY_LOW"},
    ]
    first, second = ingest_batch(report(nodes=nodes), LIMITS, now=NOW).nodes
    assert (first.metadata, first.team, first.criticality) == (None, None, None)
    assert (second.metadata, second.team, second.criticality) == ("{}", "t", "low")


def test_everything_wrong_with_a_report_is_named() -> None:
    edges = [
        EDGE | {"discovery_source": "DISCOVERY_SOURCE_SERVICE_MESH"},
        EDGE | {"last_observed_time": "2026-01-01T00:00:00Z"},
        EDGE | {"source_service_id": ""},
    ]
    request = report(nodes=[{"service_id": "n"}, {"service_id": "n", "team": ""}], edges=edges)
    request.observe_time.nanos = -1
    with pytest.raises(InvalidInputError) as caught:
        ingest_batch(request, LIMITS, now=NOW)
    assert sorted(fields_of(caught.value)) == [
        "edges[0].discovery_source",
        "edges[1]",
        "edges[1].last_observed_time",
        "edges[2].source_service_id",
        "nodes[1].service_id",
        "nodes[1].team",
        "observe_time",
    ]


def test_what_a_report_leaves_out_or_does_not_know_is_left_out() -> None:
    unknown = EDGE | {"target_service_id": "c", "communication_mode": "COMMUNICATION_MODE_UNKNOWN"}
    known = {"criticality": "DEPENDENCY_CRITICALITY_UNKNOWN", "confidence_score": 0.5, "timeout_ms": 7}
    batch = ingest_batch(report(edges=[EDGE, unknown | known]), LIMITS, now=NOW)
    assert batch.edges == (
        ReportedEdge("a", "b", "sync"),
        ReportedEdge("a", "c", None, "unknown", timeout_ms=7, confidence_score=0.5),
    )


def test_a_report_says_who_reports_and_how_it_came_about() -> None:
    request = report(
        reporter="prometheus-eu",
        observation_granularity="300s",
        nodes=[{"service_id": "q", "kind": "SERVICE_KIND_QUEUE"}],
        policies=[
            {"target_service_id": "a", "timeout_ms": 9},
            {"target_service_id": "a", "source_service_id": "b", "retry_config": {}, "confidence_score": 0.5},
        ],
        details={"interval": "60s", "element_count": 3, "skipped": {"a raw\naddress": 2}, "more": True},
    )
    batch = ingest_batch(request, LIMITS, now=NOW)
    assert (batch.reporter, batch.granularity) == ("prometheus-eu", timedelta(minutes=5))
    assert batch.nodes == (IngestNode("q", kind="queue"),)
    retries = '{"max_retries": 3, "backoff_strategy": "exponential"}'
    assert batch.policies == (CalleePolicy("a", timeout_ms=9), CalleePolicy("a", "b", None, retries, 0.5))
    assert batch.details == ReportDetails(
        interval=timedelta(minutes=1), element_count=3, skipped={"a raw address": 2}, more=True
    )


def test_everything_wrong_with_what_a_report_says_of_itself_is_named() -> None:
    request = report(
        reporter="two\nlines",
        observation_granularity="86401s",
        policies=[
            {"target_service_id": "a"},
            {"target_service_id": "a", "source_service_id": "a", "timeout_ms": 0, "confidence_score": 2},
            {"target_service_id": "a", "retry_config": {"max_retries": 101}},
        ],
        details={"interval": "-1s", "element_count": -1, "skipped": {" ": 1, "x": -1}, "error": "refused"},
    )
    with pytest.raises(InvalidInputError) as caught:
        ingest_batch(request, LIMITS, now=NOW)
    assert sorted(fields_of(caught.value)) == [
        "details.element_count",
        "details.error",
        "details.interval",
        "details.interval",
        "details.skipped[' ']",
        "details.skipped['x']",
        "observation_granularity",
        "policies[0].timeout_ms",
        "policies[1].confidence_score",
        "policies[1].source_service_id",
        "policies[1].timeout_ms",
        "policies[2]",
        "policies[2].retry_config.max_retries",
        "reporter",
    ]


@pytest.mark.parametrize("field", ["nodes", "edges", "policies"])
def test_a_report_with_too_many_items_is_refused(field: str) -> None:
    with pytest.raises(TooManyItemsError, match=f"{field}: has 4 items; at most 3"):
        ingest_batch(report(**{field: [{}] * 4}), LIMITS, now=NOW)


def test_a_long_error_is_cut_and_stands_in_one_line() -> None:
    error = ingest_batch(report(details={"error": "no\nanswer" * 200}), LIMITS, now=NOW).details.error
    assert len(error) == 1_000
    assert error.startswith("no answerno")


def test_a_report_without_a_discovery_source_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="discovery_source: is required"):
        ingest_batch(dependencies.IngestGraphRequest(), LIMITS, now=NOW)


@pytest.mark.parametrize(
    ("content", "paths", "columns"),
    [
        ({"team": "t"}, [], {"team"}),
        (
            {"metadata": {}, "discovered": True, "criticality": "CRITICALITY_LOW"},
            [],
            {"metadata", "discovered", "criticality"},
        ),
        ({}, [], set()),
        ({}, ["team", "team"], {"team"}),
        ({"team": "t"}, ["criticality"], {"criticality"}),
        ({}, ["*"], {"metadata", "criticality", "team", "discovered", "kind"}),
        ({}, ["team", "*"], {"metadata", "criticality", "team", "discovered", "kind"}),
    ],
)
def test_an_update_sets_the_fields_of_its_mask(
    content: dict[str, Any], paths: list[str], columns: set[str]
) -> None:
    check = Check()
    change = service_change(check, ParseDict(content, pb.Service(service_id="a")), FieldMask(paths=paths))
    check.done()
    assert change.columns == columns


def test_a_masked_field_that_is_unset_gets_its_default() -> None:
    change = service_change(Check(), pb.Service(service_id="a"), FieldMask(paths=["*"]))
    draft = change.draft
    assert (draft.metadata, draft.criticality, draft.team, draft.discovered) == ("{}", "medium", None, False)


def test_fields_outside_the_mask_are_not_checked() -> None:
    check = Check()
    service_change(check, pb.Service(service_id="a", team="t" * 256), FieldMask(paths=["criticality"]))
    check.done()


@pytest.mark.parametrize("path", ["service_id", "id", "metadata.owner", "", "create_time", "Team"])
def test_unknown_paths_of_a_mask_are_refused(path: str) -> None:
    check = Check()
    service_change(check, pb.Service(service_id="a"), FieldMask(paths=["team", path]))
    with pytest.raises(InvalidInputError) as caught:
        check.done()
    assert fields_of(caught.value) == ["update_mask.paths[1]"]


def test_a_minimal_question_gets_the_defaults() -> None:
    asked = traverse_question(question())
    assert (asked.direction, asked.max_depth, asked.full, asked.max_services) == (
        Direction.UPSTREAM,
        3,
        True,
        0,
    )
    assert asked.edge_filter == EdgeFilter()
    assert asked.consistency == MinimizeLatency()


def test_a_filter_selects_the_flags_it_names() -> None:
    asked = traverse_question(
        question(
            filter={"communication_modes": ["COMMUNICATION_MODE_ASYNC"], "min_confidence": 0.5},
            include_stale=True,
        )
    )
    assert asked.edge_filter.passes(EdgeFlag.ASYNC, confidence=0.5)
    assert not asked.edge_filter.passes(EdgeFlag.SYNC, confidence=0.5)
    assert not asked.edge_filter.passes(EdgeFlag.ASYNC, confidence=0.4)
    assert asked.edge_filter.passes(EdgeFlag.ASYNC | EdgeFlag.STALE, confidence=1)


def test_everything_wrong_with_a_question_is_named() -> None:
    request = graph.TraverseRequest(max_depth=11, max_services=-1, view=3)  # type: ignore[arg-type] # no known number
    request.filter.discovery_sources.extend([0, 9])  # type: ignore[list-item] # no known numbers
    request.filter.min_confidence = nan
    request.consistency.fully_consistent = False
    with pytest.raises(InvalidInputError) as caught:
        traverse_question(request)
    assert sorted(fields_of(caught.value)) == [
        "consistency.fully_consistent",
        "direction",
        "filter.discovery_sources[0]",
        "filter.discovery_sources[1]",
        "filter.min_confidence",
        "max_depth",
        "max_services",
        "service_id",
        "view",
    ]


def test_each_kind_of_consistency_is_read() -> None:
    token = REVISION.token
    assert consistency(Check(), pb.Consistency(minimize_latency=True)) == MinimizeLatency()
    assert consistency(Check(), pb.Consistency(fully_consistent=True)) == FullyConsistent()
    assert consistency(Check(), pb.Consistency(at_least_as_fresh=token)) == AtLeastAsFresh(REVISION)


@pytest.mark.parametrize("token", ["", "latest", "ä", "AAAA", "x" * 20_000])
def test_an_invalid_revision_has_its_own_error_reason(token: str) -> None:
    check = Check()
    consistency(check, pb.Consistency(at_least_as_fresh=token))
    with pytest.raises(InvalidRevisionError) as caught:
        check.done()
    assert fields_of(caught.value) == ["consistency.at_least_as_fresh"]
