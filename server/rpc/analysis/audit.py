"""AuditPaths: timeouts and retries along paths of calls."""

from collections.abc import Hashable, Iterator
from typing import NamedTuple, cast

import numpy as np

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.types_pb2 import EffectiveDependency
from graphcore import DependencyGraph
from graphcore.analysis.path_audit import GrownTimeout, PathAudit, PathAuditQuestion, audit_paths
from graphcore.analysis.retries import RetriedPath
from server import wire
from server.domain.live_graph import Consistency
from server.rpc.answers import pair_records, tag, too_large
from server.rpc.questions import consistency, edge_filter, require_services
from server.rpc.validate import Check
from server.wire.fields import field
from server.wire.policies import call_policies

MOST_HOPS, MOST_FINDINGS = 10, 1_000
_DEFAULT_HOPS, _DEFAULT_ATTEMPTS, _DEFAULT_FINDINGS = 5, 10, 100
_TIMEOUT = tag(pb.AuditPathsResponse, "timeouts")
_RETRY = tag(pb.AuditPathsResponse, "retries")


class PathsAudit(NamedTuple):
    """What to audit, and how fresh the answer must be."""

    question: PathAuditQuestion
    consistency: Consistency


def audit_question(request: pb.AuditPathsRequest) -> PathsAudit:
    """Read a request; raises ``InvalidInputError`` with everything that is wrong with it."""
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
    return PathsAudit(question, wanted)


def audit_answer(graph: DependencyGraph, wanted: PathsAudit, limit: int) -> bytes:
    """
    Encode an ``AuditPathsResponse`` without its freshness, of at most ``limit`` bytes.

    Raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``. Takes as long as ``audit_paths``.
    """
    question = wanted.question
    if question.service is not None:
        require_services(graph, question.service)
    found = audit_paths(graph, question, call_policies)
    counts = pb.AuditPathsResponse(
        timeout_count=found.timeouts.count,
        retry_count=found.retries.count,
        truncated=found.retries.truncated,
        dependency_count=found.dependencies,
        with_timeout_count=found.with_timeout,
        with_retry_count=found.with_retries,
    )
    findings = _effective_findings(graph, found, question) if question.effective else _findings(found)
    answer = b"".join((*findings, counts.SerializeToString()))
    if len(answer) > limit:
        raise too_large(
            f"{len(found.timeouts.worst):,} findings of timeouts and {len(found.retries.worst):,} of retries",
            limit,
            "ask for fewer (max_findings)",
        )
    return answer


def _findings(found: PathAudit) -> Iterator[bytes]:
    for timeout in found.timeouts.worst:
        yield field(_TIMEOUT, _timeout_finding(timeout))
    for retries in found.retries.worst:
        yield field(_RETRY, _retry_finding(retries))


def _effective_findings(
    graph: DependencyGraph, found: PathAudit, question: PathAuditQuestion
) -> Iterator[bytes]:
    merged = _merged(graph, found, question)
    for timeout in found.timeouts.worst:
        finding = pb.TimeoutFinding(
            caller_effective=merged[timeout.caller.key],
            callee_effective=merged[timeout.callee.key],
            excess_ms=timeout.excess,
        )
        yield field(_TIMEOUT, finding.SerializeToString())
    for path in found.retries.worst:
        names = [service.name for service in path.services]
        pairs = [merged[record.key] for record in path.dependencies]
        retry = pb.RetryFinding(service_ids=names, attempts=path.attempts, effective_dependencies=pairs)
        yield field(_RETRY, retry.SerializeToString())


def _merged(
    graph: DependencyGraph, found: PathAudit, question: PathAuditQuestion
) -> dict[Hashable, EffectiveDependency]:
    """Merge each pair of services in the findings, by the key of its leading dependency."""
    records = [record for pair in found.timeouts.worst for record in (pair.caller, pair.callee)]
    records += [record for path in found.retries.worst for record in path.dependencies]
    keys = list(dict.fromkeys(record.key for record in records))
    edges = np.array([graph.edge(key) for key in keys], np.int32)
    merged = pair_records(graph, edges, question.of_sync_calls).merged()
    return dict(zip(keys, map(wire.effective_of, merged), strict=True))


def _timeout_finding(found: GrownTimeout) -> bytes:
    """Encode a ``TimeoutFinding`` from the records of its dependencies."""
    caller, callee = (
        wire.retagged(cast("bytes", record.payload), number)
        for record, number in (
            (found.caller, pb.TimeoutFinding.CALLER_DEPENDENCY_FIELD_NUMBER),
            (found.callee, pb.TimeoutFinding.CALLEE_DEPENDENCY_FIELD_NUMBER),
        )
    )
    return caller + callee + pb.TimeoutFinding(excess_ms=found.excess).SerializeToString()


def _retry_finding(found: RetriedPath) -> bytes:
    """Encode a ``RetryFinding`` from the records of its dependencies."""
    finding = pb.RetryFinding(
        service_ids=[service.name for service in found.services], attempts=found.attempts
    )
    number = pb.RetryFinding.DEPENDENCIES_FIELD_NUMBER
    records = [wire.retagged(cast("bytes", record.payload), number) for record in found.dependencies]
    return b"".join((finding.SerializeToString(), *records))
