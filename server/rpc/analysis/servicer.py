"""AnalysisService: what the graph is kept for, from memory."""

from collections.abc import AsyncIterator

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.analysis_service_pb2_grpc import AnalysisServiceServicer
from server.config import Limits
from server.rpc.analysis.analyses import Analyses
from server.rpc.analysis.audit import audit_answer, audit_question
from server.rpc.analysis.change import change_answer, change_question
from server.rpc.analysis.cuts import cuts_answer, cuts_question
from server.rpc.analysis.drift import drift_answer, drift_question
from server.rpc.analysis.impact import impact_question, impacted
from server.rpc.analysis.impact_parts import impact_parts
from server.rpc.analysis.paths import paths_answer, paths_question
from server.rpc.answer_fields import (
    AUDIT_FRESHNESS,
    CHECK_FRESHNESS,
    CUTS_FRESHNESS,
    DRIFT_FRESHNESS,
    PATHS_FRESHNESS,
    freshness_message,
)
from server.rpc.aside import aside
from server.rpc.context import Context
from server.rpc.ports import LiveGraph
from server.wire.fields import field


class AnalysisServicer(AnalysisServiceServicer):
    """Reads questions, has them answered aside, and writes answers; each question has a module of its own."""

    def __init__(self, live: LiveGraph, limits: Limits) -> None:
        self._live = live
        self._analyses = Analyses(live)
        self._limits = limits

    async def AnalyzeImpact(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.AnalyzeImpactRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Tell what the failure of a service reaches; the answer comes in parts."""
        question = impact_question(request)
        found, freshness = await self._analyses.run(
            question.consistency, context, lambda graph: impacted(graph, question)
        )
        async for part in impact_parts(found, freshness, self._limits.max_part_bytes):
            yield part

    async def FindPaths(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.FindPathsRequest, context: Context
    ) -> bytes:
        """Find the shortest paths of calls between two services."""
        question, limit = paths_question(request), self._limits.max_response_bytes
        answer, freshness = await self._analyses.run(
            question.consistency, context, lambda graph: paths_answer(graph, question, limit)
        )
        return answer + field(PATHS_FRESHNESS, freshness_message(freshness))

    async def AuditPaths(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.AuditPathsRequest, context: Context
    ) -> bytes:
        """Find timeouts that do not shrink along a path of calls, and retries that multiply."""
        wanted, limit = audit_question(request), self._limits.max_response_bytes
        answer, freshness = await self._analyses.run(
            wanted.consistency, context, lambda graph: audit_answer(graph, wanted.question, limit)
        )
        return answer + field(AUDIT_FRESHNESS, freshness_message(freshness))

    async def ListDrift(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.ListDriftRequest, context: Context
    ) -> bytes:
        """List what is declared and not observed, and what is observed and not declared."""
        wanted, limit = drift_question(request), self._limits.max_response_bytes
        answer, freshness = await self._analyses.run(
            wanted.consistency, context, lambda graph: drift_answer(graph, wanted, limit)
        )
        return answer + field(DRIFT_FRESHNESS, freshness_message(freshness))

    async def CheckChange(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.CheckChangeRequest, context: Context
    ) -> bytes:
        """Tell what a change that nobody has made yet would do to cycles and blast radii."""
        count, limit = len(request.added) + len(request.removed), self._limits.max_response_bytes
        question = await aside(count, change_question, request, self._limits)
        answer, freshness = await self._analyses.run(
            question.consistency, context, lambda graph: change_answer(graph, question, limit)
        )
        return answer + field(CHECK_FRESHNESS, freshness_message(freshness))

    async def SuggestCuts(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.SuggestCutsRequest, context: Context
    ) -> bytes:
        """Choose dependencies without which a component has no cycle."""
        question, limit = cuts_question(request), self._limits.max_response_bytes
        answer, freshness = await self._analyses.run(
            question.consistency, context, lambda graph: cuts_answer(graph, question, limit)
        )
        return answer + field(CUTS_FRESHNESS, freshness_message(freshness))
