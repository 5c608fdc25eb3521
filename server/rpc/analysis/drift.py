"""ListDrift: dependencies that are declared but not observed, or observed but not declared."""

from dataclasses import replace
from typing import NamedTuple, cast

from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.drift import DECLARED, OBSERVED, Drift, DriftQuestion, list_drift
from server import wire
from server.domain.live_graph import Consistency
from server.rpc.answers import tag
from server.rpc.paging import PAIRS, PageTokens, PairKey, fitted_page, page_size
from server.rpc.questions import consistency, excluded_kinds, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.columns import EnumWords
from server.wire.fields import field

_DRIFT = tag(pb.ListDriftResponse, "drifts")
_KIND: EnumWords[str, pb.DriftKind.ValueType] = EnumWords(pb.DriftKind, ["not_observed", "not_declared"])
_SIDES = {None: DECLARED | OBSERVED, "not_observed": DECLARED, "not_declared": OBSERVED}
_KINDS = {DECLARED: pb.DRIFT_KIND_NOT_OBSERVED, OBSERVED: pb.DRIFT_KIND_NOT_DECLARED}


class DriftPage(NamedTuple):
    """A page of drift, how fresh it must be, and the tokens of its pages."""

    question: DriftQuestion
    consistency: Consistency
    tokens: PageTokens[PairKey]


def drift_question(request: pb.ListDriftRequest) -> DriftPage:
    """Read a request."""
    check = Check()
    kinds = sorted(set(request.exclude_kinds))
    filters = (request.kind, request.service_id, request.ignore_stale, *kinds)
    tokens = PageTokens("drift", filters, PAIRS)
    question = DriftQuestion(
        sides=_SIDES[check.optional_word("kind", request.kind, _KIND)],
        service=check.text("service_id", request.service_id) if request.service_id else None,
        ignore_stale=request.ignore_stale,
        excluded_kinds=excluded_kinds(check, "exclude_kinds", request.exclude_kinds),
        after=tokens.read(check, request.page_token),
        most=page_size(check, request.page_size),
    )
    wanted = consistency(check, request.consistency)
    check.done()
    return DriftPage(question, wanted, tokens)


def drift_answer(graph: DependencyGraph, wanted: DriftPage, limit: int) -> bytes:
    """List a page of drift, some microseconds a pair."""
    question, resolved = wanted.question, b""
    if (asked := question.service) is not None:
        [own] = own_names(graph, asked)
        question = replace(question, service=own)
        resolved = resolved_field(pb.ListDriftResponse, [asked], [own])
    found = list_drift(graph, question)
    last = _key_of(found.drifts[-1]) if found.more else None
    records, following = fitted_page(found.drifts, last, _record, _key_of, limit)
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


def _record(drift: Drift) -> bytes:
    """Encode a ``Drift`` from the records of its dependencies."""
    present = [cast("bytes", record.payload) for record in drift.present]
    gone = [cast("bytes", record.payload) for record in drift.gone]
    if gone:
        since = max((wire.dependency_of(each).last_observed_time for each in gone), key=_age)
    else:
        since = min((wire.dependency_of(each).create_time for each in present), key=_age)
    message = pb.Drift(
        kind=_KINDS[drift.side],
        source_service_id=drift.source,
        target_service_id=drift.target,
        since_time=since,
    )
    number = pb.Drift.DEPENDENCIES_FIELD_NUMBER
    records = [wire.retagged(each, number) for each in present]
    return field(_DRIFT, b"".join((message.SerializeToString(), *records)))


def _age(time: Timestamp) -> tuple[int, int]:
    return time.seconds, time.nanos
