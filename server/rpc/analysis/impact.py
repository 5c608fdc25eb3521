"""What the failure of a service reaches: the question, and records to answer it from once the graph has moved on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.impact import impact_of
from server.domain.consistency import Consistency
from server.rpc.decode_graph import consistency, edge_filter
from server.rpc.edge_masks import edge_mask
from server.rpc.known_services import require_services
from server.rpc.validate import Check


class ImpactQuestion(NamedTuple):
    """Whose failure is meant and what counts, as asked for; ``max_hops`` 0 = no limit."""

    service_id: str
    max_hops: int
    edge_filter: EdgeFilter
    effective: bool
    summary_only: bool
    consistency: Consistency


class Impacted(NamedTuple):
    """
    The services reached, by hops and then by name (in no particular order for a summary); stays as it is while the graph moves on.

    ``services`` and ``briefs`` are records, ``failed`` the brief of the service that fails; the arrays are those of ``graphcore.analysis.impact.Impact``.
    """

    failed: bytes
    services: NDArray[np.object_]
    briefs: NDArray[np.object_]
    hops: NDArray[np.int32]
    hard_hops: NDArray[np.int32]
    degraded_hops: NDArray[np.int32]
    sync_hops: NDArray[np.int32]
    steps: NDArray[np.int32]
    summary_only: bool


def impact_question(request: pb.AnalyzeImpactRequest) -> ImpactQuestion:
    """Read the request; raises ``InvalidInputError`` with everything that is wrong with it."""
    check = Check()
    question = ImpactQuestion(
        service_id=check.text("service_id", request.service_id),
        max_hops=check.at_least("max_hops", request.max_hops, 0),
        edge_filter=edge_filter(check, request.filter, include_stale=request.include_stale),
        effective=request.effective,
        summary_only=request.summary_only,
        consistency=consistency(check, request.consistency),
    )
    check.done()
    return question


def impacted(graph: DependencyGraph, question: ImpactQuestion) -> Impacted:
    """Find what is reached; raises ``ServiceNotFoundError``. O(V + E) and sorting names."""
    require_services(graph, question.service_id)
    mask = edge_mask(graph, question.edge_filter, effective=question.effective)
    found = impact_of(graph, question.service_id, mask, question.max_hops, ordered=not question.summary_only)
    return Impacted(
        graph.service_briefs[graph.node(question.service_id)],
        graph.service_payloads[found.nodes],
        graph.service_briefs[found.nodes],
        found.hops,
        found.hard_hops,
        found.degraded_hops,
        found.sync_hops,
        found.steps,
        question.summary_only,
    )
