"""AnalysisService: analyses of the graph in memory, which run in a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from google.protobuf.message import Message

from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph
from server.config import Limits
from server.domain.caller import current_caller
from server.domain.live_graph import Consistency, Freshness, LiveGraph, Reading
from server.rpc.analysis.audit import AuditQuestion, audit_answer, audit_question
from server.rpc.analysis.change import ChangeQuestion, change_answer, change_question
from server.rpc.analysis.cuts import CutsQuestion, cuts_answer, cuts_question
from server.rpc.analysis.drift import DriftPage, drift_answer, drift_question
from server.rpc.analysis.impact import impact_parts, impact_question, impacted
from server.rpc.analysis.paths import PathsQuestion, paths_answer, paths_question
from server.rpc.answers import freshness_message, tag
from server.rpc.context import Context, time_left
from server.rpc.past_answers import of_then
from server.rpc.reading import convert
from server.rpc.shares import FairLock, share_of
from server.wire.fields import field

Found = TypeVar("Found")
Question = TypeVar("Question", AuditQuestion, ChangeQuestion, CutsQuestion, DriftPage, PathsQuestion)


class AnalysisServicer:
    """Reads questions, runs analyses and answers with the bytes of messages."""

    def __init__(self, live: LiveGraph, limits: Limits) -> None:
        self.analyses = Analyses(live)
        self._limits = limits

    async def AnalyzeImpact(self, request: pb.AnalyzeImpactRequest, context: Context) -> AsyncIterator[bytes]:
        """Find the services that the failure of a service reaches; the answer comes in parts."""
        question = impact_question(request)
        found, freshness = await self.analyses.run(
            question.consistency, context, lambda graph: impacted(graph, question)
        )
        async for part in impact_parts(found, freshness, self._limits.max_part_bytes):
            yield await of_then(part, pb.AnalyzeImpactResponse, freshness)

    async def FindPaths(self, request: pb.FindPathsRequest, context: Context) -> bytes:
        """Find the shortest paths of calls between two services."""
        return await self._answer(context, paths_question(request), paths_answer, pb.FindPathsResponse)

    async def AuditPaths(self, request: pb.AuditPathsRequest, context: Context) -> bytes:
        """Find timeouts that do not shrink along a path of calls, and retries that multiply."""
        return await self._answer(context, audit_question(request), audit_answer, pb.AuditPathsResponse)

    async def ListDrift(self, request: pb.ListDriftRequest, context: Context) -> bytes:
        """List dependencies that are declared but not observed, or observed but not declared."""
        return await self._answer(context, drift_question(request), drift_answer, pb.ListDriftResponse)

    async def CheckChange(self, request: pb.CheckChangeRequest, context: Context) -> bytes:
        """Predict what a proposed change would do to cycles and blast radii."""
        count = len(request.added) + len(request.removed)
        question = await convert(count, change_question, request, self._limits)
        return await self._answer(context, question, change_answer, pb.CheckChangeResponse)

    async def SuggestCuts(self, request: pb.SuggestCutsRequest, context: Context) -> bytes:
        """Choose dependencies without which a component has no cycle."""
        return await self._answer(context, cuts_question(request), cuts_answer, pb.SuggestCutsResponse)

    async def _answer(
        self,
        context: Context,
        question: Question,
        answer: Callable[[DependencyGraph, Question, int], bytes],
        response: type[Message],
    ) -> bytes:
        """Run the analysis and append the freshness to the answer."""
        limit = self._limits.max_response_bytes
        found, freshness = await self.analyses.run(
            question.consistency, context, lambda graph: answer(graph, question, limit)
        )
        found += field(tag(response, "freshness"), freshness_message(freshness))
        return await of_then(found, response, freshness)


class Analyses:
    """
    Runs analyses in a thread, one at a time by turns, under the read lock of the graph.

    Changes wait for the end of an analysis, so it has to be bounded to about a second, whatever the
    graph. Other calls read the graph at the same time: the work must not change it, nor use its
    scratch space. The result must stay valid when the graph changes: records, not indices.
    """

    def __init__(self, live: LiveGraph) -> None:
        self._live = live
        self._turn = FairLock()
        self._running: set[asyncio.Task[object]] = set()

    async def run(
        self, wanted: Consistency, context: Context, work: Callable[[DependencyGraph], Found]
    ) -> tuple[Found, Freshness]:
        """Call ``work`` with a graph as fresh as wanted; returns its freshness, too."""
        return await self.of(await self._live.at(wanted, time_left(context)), context, work)

    async def of(
        self,
        reading: Reading,
        context: Context,
        work: Callable[[DependencyGraph], Found],
        *,
        beside: Reading | None = None,
        begin: Callable[[Reading], Awaitable[None]] | None = None,
    ) -> tuple[Found, Freshness]:
        """
        Call ``work`` with the graph of a reading; returns its freshness then, too.

        ``begin`` is awaited before, when the graph holds still. ``beside`` is kept, too.
        """
        others = nullcontext() if beside is None else beside.keeps()
        with reading.keeps():
            # A caller that is gone by then gets no turn.
            await self._turn.acquire(share_of(current_caller(), context), context.peer())
            running = asyncio.create_task(self._alone(reading, work, begin, others))
            # The event loop keeps no strong reference to a task.
            self._running.add(running)
            running.add_done_callback(self._discard)
            # A thread can't be interrupted: it holds the graph to its end, even if the caller is
            # gone.
            return await asyncio.shield(running)

    async def _alone(
        self,
        reading: Reading,
        work: Callable[[DependencyGraph], Found],
        begin: Callable[[Reading], Awaitable[None]] | None,
        others: AbstractContextManager[None],
    ) -> tuple[Found, Freshness]:
        with others:
            async with self._live.hold(reading) as held:
                if begin is not None:
                    await begin(held)
                return await asyncio.to_thread(work, held.graph), held.freshness

    def _discard(self, running: asyncio.Task[object]) -> None:
        self._turn.release()
        self._running.discard(running)
        # Retrieves the error, which asyncio would log otherwise if the caller is gone.
        if not running.cancelled():
            running.exception()
