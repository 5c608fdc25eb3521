"""AuditPaths: timeouts and retries along paths of calls."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph, DependencyRecord
from graphcore.analysis.path_audit import PathAudit, PathAuditQuestion, audit_paths
from server import wire
from server.domain.live_graph import Consistency
from server.rpc.answers import pair_records, tag, too_large
from server.rpc.questions import consistency, edge_filter, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.fields import field
from server.wire.policies import call_policies

MOST_HOPS, MOST_FINDINGS = 10, 1_000
_DEFAULT_HOPS, _DEFAULT_ATTEMPTS, _DEFAULT_FINDINGS = 5, 10, 100
_TIMEOUT = tag(pb.AuditPathsResponse, "timeouts")
_RETRY = tag(pb.AuditPathsResponse, "retries")


class AuditQuestion(NamedTuple):
    """What to audit, and how fresh the answer must be."""

    question: PathAuditQuestion
    consistency: Consistency


def audit_question(request: pb.AuditPathsRequest) -> AuditQuestion:
    """Read a request."""
    check = Check()
    question = PathAuditQuestion(
        service=check.text("service_id", request.service_id) if request.service_id else None,
        max_hops=check.number("max_hops", request.max_hops, 0, MOST_HOPS, f"0 = {_DEFAULT_HOPS}")
        or _DEFAULT_HOPS,
        max_attempts=check.at_least("max_attempts", request.max_attempts, 0) or _DEFAULT_ATTEMPTS,
        most=check.number("max_findings", request.max_findings, 0, MOST_FINDINGS, f"0 = {_DEFAULT_FINDINGS}")
        or _DEFAULT_FINDINGS,
        edge_filter=edge_filter(check, request.filter, include_stale=request.include_stale),
        effective=request.effective,
    )
    wanted = consistency(check, request.consistency)
    check.done()
    return AuditQuestion(question, wanted)


def audit_answer(graph: DependencyGraph, wanted: AuditQuestion, limit: int) -> bytes:
    """Find the paths and encode them."""
    question, resolved = wanted.question, b""
    if (asked := question.service) is not None:
        [own] = own_names(graph, asked)
        question = replace(question, service=own)
        resolved = resolved_field(pb.AuditPathsResponse, [asked], [own])
    found = audit_paths(graph, question, call_policies)
    counts = pb.AuditPathsResponse(
        timeout_count=found.timeouts.count,
        retry_count=found.retries.count,
        truncated=found.retries.truncated,
        dependency_count=found.dependencies,
        with_timeout_count=found.with_timeout,
        with_retry_count=found.with_retries,
        unknown_mode_count=found.of_unknown_mode,
    )
    answer = b"".join((*_findings(graph, found, question), counts.SerializeToString(), resolved))
    if len(answer) > limit:
        raise too_large(
            f"{len(found.timeouts.worst):,} findings of timeouts and {len(found.retries.worst):,} of retries",
            limit,
            "ask for fewer (max_findings)",
        )
    return answer


def _findings(graph: DependencyGraph, found: PathAudit, question: PathAuditQuestion) -> Iterator[bytes]:
    """Encode the findings from the records of dependencies or of pairs of services."""
    timeout, retry = pb.TimeoutFinding, pb.RetryFinding
    records = {each.key: cast("bytes", each.payload) for each in _dependencies(found)}
    caller, callee = timeout.CALLER_DEPENDENCY_FIELD_NUMBER, timeout.CALLEE_DEPENDENCY_FIELD_NUMBER
    dependency = retry.DEPENDENCIES_FIELD_NUMBER
    if question.effective:
        edges = np.array([graph.edge(key) for key in records], np.int32)
        records = dict(zip(records, pair_records(graph, edges, question.of_sync_calls).merged(), strict=True))
        caller, callee = timeout.CALLER_EFFECTIVE_FIELD_NUMBER, timeout.CALLEE_EFFECTIVE_FIELD_NUMBER
        dependency = retry.EFFECTIVE_DEPENDENCIES_FIELD_NUMBER
    for pair in found.timeouts.worst:
        ends = (
            wire.retagged(records[pair.caller.key], caller),
            wire.retagged(records[pair.callee.key], callee),
        )
        yield field(_TIMEOUT, b"".join((*ends, timeout(excess_ms=pair.excess).SerializeToString())))
    for path in found.retries.worst:
        message = retry(service_ids=[each.name for each in path.services], attempts=path.attempts)
        calls = [wire.retagged(records[each.key], dependency) for each in path.dependencies]
        yield field(_RETRY, b"".join((message.SerializeToString(), *calls)))


def _dependencies(found: PathAudit) -> Iterator[DependencyRecord]:
    """Yield the dependencies of the findings, some of them more than once."""
    for pair in found.timeouts.worst:
        yield from (pair.caller, pair.callee)
    for path in found.retries.worst:
        yield from path.dependencies
