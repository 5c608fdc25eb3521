"""ListDrift: dependencies declared but not observed, observed but not declared, or contradicted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1 import types_pb2
from graphcore import DependencyGraph
from graphcore.analysis.drift import CONTRADICTED, DECLARED, OBSERVED, Drift, DriftQuestion, list_drift
from server import wire
from server.domain.live_graph import AsOf, Consistency
from server.domain.records import SOURCE_FLAGS
from server.rpc.answers import tag
from server.rpc.paging import PAIRS, PageTokens, PairKey, fitted_page, page_size
from server.rpc.questions import consistency, excluded_kinds, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.columns import DISCOVERY_SOURCE, EnumWords
from server.wire.fields import field

_DRIFT = tag(pb.ListDriftResponse, "drifts")
_KIND: EnumWords[str, pb.DriftKind.ValueType] = EnumWords(
    pb.DriftKind, ["not_observed", "not_declared", "contradicted"]
)
_WANTED = {
    None: DECLARED | OBSERVED,
    "not_observed": DECLARED,
    "not_declared": OBSERVED,
    "contradicted": CONTRADICTED,
}
_KINDS = {
    DECLARED: pb.DRIFT_KIND_NOT_OBSERVED,
    OBSERVED: pb.DRIFT_KIND_NOT_DECLARED,
    CONTRADICTED: pb.DRIFT_KIND_CONTRADICTED,
}


class DriftPage(NamedTuple):
    """A page of drift, of which team ("" = any), how fresh it must be, the tokens of its pages."""

    question: DriftQuestion
    team: str
    consistency: Consistency
    tokens: PageTokens[PairKey]


def drift_question(request: pb.ListDriftRequest) -> DriftPage:
    """Read a request."""
    check = Check()
    kinds = sorted(set(request.exclude_kinds))
    filters = (
        request.kind,
        request.service_id,
        request.ignore_stale,
        request.team,
        request.discovery_source,
        *kinds,
    )
    tokens = PageTokens("drift", filters, PAIRS)
    question = DriftQuestion(
        kinds=_WANTED[check.optional_word("kind", request.kind, _KIND)],
        service=check.text("service_id", request.service_id) if request.service_id else None,
        ignore_stale=request.ignore_stale,
        excluded_kinds=excluded_kinds(check, "exclude_kinds", request.exclude_kinds),
        after=tokens.read(check, request.page_token),
        most=page_size(check, request.page_size),
    )
    source = check.optional_word("discovery_source", request.discovery_source, DISCOVERY_SOURCE)
    if source is not None:
        question = replace(question, sources=SOURCE_FLAGS[source])
    team = check.text("team", request.team) if request.team else ""
    wanted = consistency(check, request.consistency)
    check.done()
    return DriftPage(question, team, wanted, tokens)


def drift_answer(graph: DependencyGraph, wanted: DriftPage, limit: int) -> bytes:
    """List a page of drift, some microseconds a pair."""
    question, resolved = wanted.question, b""
    if (asked := question.service) is not None:
        [own] = own_names(graph, asked)
        question = replace(question, service=own)
        resolved = resolved_field(pb.ListDriftResponse, [asked], [own])
    if wanted.team:
        question = replace(question, among=_services_of(graph, wanted.team))
    found = list_drift(graph, question)
    last = _key_of(found.drifts[-1]) if found.more else None
    is_past = isinstance(wanted.consistency, AsOf)
    records, following = fitted_page(
        found.drifts, last, lambda drift: _record(graph, drift, is_past=is_past), _key_of, limit
    )
    rest = pb.ListDriftResponse(
        next_page_token=wanted.tokens.write(following),
        total_count=found.total,
        declared_count=found.declared,
        observed_count=found.observed,
        unknown_mode_count=found.of_unknown_mode,
        unknown_criticality_count=found.of_unknown_criticality,
    )
    return b"".join((*records, rest.SerializeToString(), resolved))


def _key_of(drift: Drift) -> PairKey:
    return PairKey(drift.source, drift.target)


def _services_of(graph: DependencyGraph, team: str) -> list[int]:
    """
    Find the services of a team, by node. O(V).

    Only records that hold the field's bytes are read, since reading all takes tens of milliseconds.
    """
    encoded = types_pb2.Service(team=team).SerializeToString()
    records = enumerate(graph.service_payloads.tolist())
    likely = [(node, record) for node, record in records if record is not None and encoded in record]
    return [node for node, record in likely if wire.service_of(record).team == team]


def _record(graph: DependencyGraph, drift: Drift, *, is_past: bool) -> bytes:
    """Encode a ``Drift`` from the records of its services and dependencies."""
    present = [cast("bytes", record.payload) for record in drift.present]
    message = pb.Drift(
        kind=_KINDS[drift.kind],
        source_service_id=drift.source,
        target_service_id=drift.target,
        since_time=_since(drift, present, is_past=is_past),
    )
    source, target = (wire.service_of(graph.service_payloads[node]) for node in drift.nodes)
    if source.HasField("team"):
        message.source_team = source.team
    if target.HasField("team"):
        message.target_team = target.team
    number = pb.Drift.DEPENDENCIES_FIELD_NUMBER
    records = [wire.retagged(each, number) for each in present]
    return field(_DRIFT, b"".join((message.SerializeToString(), *records)))


def _since(drift: Drift, present: Sequence[bytes], *, is_past: bool) -> Timestamp | None:
    if is_past and (drift.kind == CONTRADICTED or drift.gone):
        # The times of updates and observations are those of now.
        return None
    if drift.kind == CONTRADICTED:
        return max((wire.dependency_of(each).update_time for each in present), key=_age)
    if drift.gone:
        gone = (wire.dependency_of(cast("bytes", record.payload)) for record in drift.gone)
        return max((each.last_observed_time for each in gone), key=_age)
    return min((wire.dependency_of(each).create_time for each in present), key=_age)


def _age(time: Timestamp) -> tuple[int, int]:
    return time.seconds, time.nanos
