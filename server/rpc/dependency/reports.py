"""Reports of discovery sources, from requests to the domain, and what became of them."""

from datetime import datetime, timedelta

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1 import types_pb2
from server.config import Limits
from server.domain.dependencies import DiscoverySource
from server.domain.ports import Written
from server.domain.reports import (
    CalleePolicy,
    IngestBatch,
    IngestNode,
    IngestResult,
    ReportDetails,
    ReportedEdge,
)
from server.domain.services import name_problem
from server.rpc.dependency.drafts import dependency_draft, retry_json_of
from server.rpc.metadata import json_of
from server.rpc.validate import Check, shown
from server.wire.columns import CRITICALITY, DISCOVERY_SOURCE, SERVICE_KIND

# No later report could follow one from the far future.
_CLOCKS_DIFFER = timedelta(days=1)
_MOST_GRANULARITY = timedelta(days=1)
_MOST_INTERVAL = timedelta(days=366)
_MOST_REASONS = 100
_LONGEST_REASON = 255
_LONGEST_ERROR = 1_000


def ingest_batch(request: pb.IngestGraphRequest, limits: Limits, *, now: datetime) -> IngestBatch:
    """
    Read the report of a discovery source, observed at ``now`` unless it has an ``observe_time``.

    Raises ``InvalidInputError`` with everything that is wrong in it. O(items).
    """
    check = Check()
    for field in ("nodes", "edges", "policies"):
        check.within_limit(field, getattr(request, field), limits.max_items)
    source = check.word("discovery_source", request.discovery_source, DISCOVERY_SOURCE, "manual")
    if request.reporter and (problem := name_problem(request.reporter)) is not None:
        check.add("reporter", problem)
    nodes = check.each("nodes", request.nodes, _node)
    edges = check.each("edges", request.edges, lambda item, edge: _edge(item, edge, source))
    policies = check.each("policies", request.policies, _policy)
    check.distinct("nodes[{}].service_id", (node.service_id for node in nodes), "this name")
    pairs = ((edge.source_service_id, edge.target_service_id) for edge in edges)
    check.distinct("edges[{}]", pairs, "this source and target")
    calls = ((policy.target_service_id, policy.source_service_id) for policy in policies)
    check.distinct("policies[{}]", calls, "this callee and caller")
    batch = IngestBatch(
        discovery_source=source,
        observed_at=_observed_at(check, request, now),
        nodes=tuple(nodes),
        edges=tuple(edges),
        policies=tuple(policies),
        reporter=request.reporter,
        granularity=check.span("observation_granularity", request.observation_granularity, _MOST_GRANULARITY),
        details=_details(check.within("details"), request.details),
    )
    if batch.details.error and (nodes or edges or policies):
        check.add("details.error", "is set: then nodes, edges and policies are empty")
    check.done()
    return batch


def _observed_at(check: Check, request: pb.IngestGraphRequest, now: datetime) -> datetime:
    if not request.HasField("observe_time"):
        return now
    observed_at = check.moment("observe_time", request.observe_time)
    if observed_at > now + _CLOCKS_DIFFER:
        check.add("observe_time", "lies more than a day ahead of the server's clock")
    return observed_at


def _node(check: Check, node: pb.IngestNode) -> IngestNode:
    return IngestNode(
        service_id=check.text("service_id", node.service_id),
        metadata=json_of(check, "metadata", node.metadata) if node.HasField("metadata") else None,
        team=check.text("team", node.team) if node.HasField("team") else None,
        criticality=check.optional_word("criticality", node.criticality, CRITICALITY),
        kind=check.optional_word("kind", node.kind, SERVICE_KIND),
    )


def _edge(check: Check, edge: types_pb2.Dependency, source: DiscoverySource) -> ReportedEdge:
    draft = dependency_draft(check, edge)
    if edge.discovery_source and draft.discovery_source != source:
        check.add("discovery_source", "is not the report's; leave it unspecified")
    if edge.HasField("last_observed_time"):
        check.add("last_observed_time", "is set; observe_time holds for all edges of a report")
    # Positional, for ten thousand come at a time.
    return ReportedEdge(
        draft.source_service_id,
        draft.target_service_id,
        None if draft.communication_mode == "unknown" else draft.communication_mode,
        draft.criticality if edge.criticality else None,
        draft.protocol,
        draft.timeout_ms,
        draft.retry_config,
        draft.confidence_score if edge.HasField("confidence_score") else None,
    )


def _policy(check: Check, policy: pb.CalleePolicy) -> CalleePolicy:
    target, caller = policy.target_service_id, policy.source_service_id
    check.text("target_service_id", target)
    if caller and check.text("source_service_id", caller) == target:
        check.add("source_service_id", "is the target too; a service can't depend on itself")
    has_timeout, has_retries = policy.HasField("timeout_ms"), policy.HasField("retry_config")
    if not has_timeout and not has_retries:
        check.add("timeout_ms", "is unset, as is retry_config; give one of them")
    has_confidence = policy.HasField("confidence_score")
    return CalleePolicy(
        target_service_id=target,
        source_service_id=caller or None,
        timeout_ms=check.at_least("timeout_ms", policy.timeout_ms, 1) if has_timeout else None,
        retry_config=retry_json_of(check, policy.retry_config) if has_retries else None,
        confidence_score=check.share("confidence_score", policy.confidence_score) if has_confidence else None,
    )


def _details(check: Check, details: pb.ReportDetails) -> ReportDetails:
    interval = None
    if details.HasField("interval"):
        interval = check.span("interval", details.interval, _MOST_INTERVAL)
        if not interval:
            check.add("interval", "is 0; leave it out if there is none")
    if len(details.skipped) > _MOST_REASONS:
        check.add("skipped", f"has {len(details.skipped):,} reasons; at most {_MOST_REASONS} are allowed")
    skipped: dict[str, int] = {}
    for reason, count in details.skipped.items():
        field = f"skipped[{shown(reason)}]"
        line = one_line(check.words(field, reason, _LONGEST_REASON))
        skipped[line] = skipped.get(line, 0) + check.at_least(field, count, 0)
    return ReportDetails(
        interval=interval,
        element_count=check.at_least("element_count", details.element_count, 0),
        skipped=skipped,
        error=one_line(details.error)[:_LONGEST_ERROR],
        more=details.more,
    )


def one_line(text: str) -> str:
    """Make a text fit for a line of a terminal and a label: each control character is a space."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def ingested(written: Written[IngestResult]) -> pb.IngestGraphResponse:
    """Write what a report changed."""
    result = written.value
    return pb.IngestGraphResponse(
        services_created=result.services_created,
        edges_created=result.edges_created,
        edges_updated=result.edges_updated,
        edges_unchanged=result.edges_unchanged,
        observations_renewed=result.observations_renewed,
        warnings=result.warnings,
        revision=written.revision,
    )
