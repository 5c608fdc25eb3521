"""SuggestCuts: dependencies without which a component has no cycle."""

from collections.abc import Iterator
from typing import NamedTuple

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.cuts import Cut, SuggestedCuts, suggest_cuts
from server import wire
from server.domain.live_graph import Consistency
from server.rpc.answers import joined_within, tag, too_large
from server.rpc.graph.components import component_record
from server.rpc.questions import consistency, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.fields import field

_CUT = tag(pb.SuggestCutsResponse, "cuts")
# A cut holds the id of a dependency, its times, and its ends twice.
_LEAST_CUT_BYTES = 100


class CutsQuestion(NamedTuple):
    """The service whose component is to be cut, and which dependencies count."""

    service_id: str
    sync_only: bool
    consistency: Consistency


def cuts_question(request: pb.SuggestCutsRequest) -> CutsQuestion:
    """Read a request."""
    check = Check()
    question = CutsQuestion(
        service_id=check.text("service_id", request.service_id),
        sync_only=request.sync_only,
        consistency=consistency(check, request.consistency),
    )
    check.done()
    return question


def cuts_answer(graph: DependencyGraph, question: CutsQuestion, limit: int) -> bytes:
    """Choose cuts and encode them."""
    asked = question.service_id
    [own] = own_names(graph, asked)
    found = suggest_cuts(graph, own, sync_only=question.sync_only)
    # Very many cuts are refused before they are encoded.
    fits = _LEAST_CUT_BYTES * len(found) <= limit
    joined = joined_within(_records(found, sync_only=question.sync_only), limit) if fits else None
    if joined is None:
        raise too_large(
            f"{len(found):,} cuts of a component of {found.component.size:,} services",
            limit,
            "raise the limit, or look at a part of it first, such as synchronous calls (sync_only)",
        )
    return joined + resolved_field(pb.SuggestCutsResponse, [asked], [own])


def _records(found: SuggestedCuts, *, sync_only: bool) -> Iterator[bytes]:
    # The component has the field number that it has in GetComponentResponse.
    yield component_record(found.component)
    totals = pb.SuggestCutsResponse(total_cost=found.total_cost, is_optimal=found.is_optimal)
    yield totals.SerializeToString()
    action = pb.CUT_ACTION_MAKE_ASYNC if sync_only else pb.CUT_ACTION_REMOVE
    for cut in found.cuts():
        yield field(_CUT, _record(cut, action))


def _record(cut: Cut, action: pb.CutAction.ValueType) -> bytes:
    """Encode a cut from the records of its dependencies."""
    message = pb.Cut(
        source_service_id=cut.source,
        target_service_id=cut.target,
        action=action,
        cost=cut.cost,
        cycle_path=cut.cycle_path,
    )
    number = pb.Cut.DEPENDENCIES_FIELD_NUMBER
    dependencies = [wire.retagged(payload, number) for payload in cut.payloads if isinstance(payload, bytes)]
    return b"".join((message.SerializeToString(), *dependencies))
