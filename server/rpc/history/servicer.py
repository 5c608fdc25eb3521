"""HistoryService: what differs between two states of the graph, and the single changes."""

from collections.abc import AsyncIterator

from depgraph.v1 import history_service_pb2 as pb
from server.config import Limits
from server.domain.live_graph import LiveGraph
from server.rpc.analysis.servicer import Analyses
from server.rpc.context import Context
from server.rpc.history.changes import ChangeLists
from server.rpc.history.diff import GraphDiffs
from server.rpc.history.pasts import History
from server.rpc.history.questions import changes_question, diff_question


class HistoryServicer:
    """Reads questions, and answers with the bytes of messages."""

    def __init__(self, live: LiveGraph, history: History, analyses: Analyses, limits: Limits) -> None:
        self._diffs = GraphDiffs(live, history, analyses)
        self._changes = ChangeLists(live, history)
        self._limits = limits

    async def DiffGraph(self, request: pb.DiffGraphRequest, context: Context) -> AsyncIterator[bytes]:
        """Compare two states of the graph; the answer comes in parts."""
        question = diff_question(request)
        async for part in self._diffs.parts(question, context, self._limits.max_part_bytes):
            yield part

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> bytes:
        """List single changes, newest first, or those nearest to a service first."""
        question = changes_question(request)
        return await self._changes.answer(question, context, self._limits.max_response_bytes)
