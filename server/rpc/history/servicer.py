"""HistoryService: what differs between two states of the graph, and the single changes."""

from collections.abc import AsyncIterator, Iterator

from depgraph.v1 import history_service_pb2 as pb
from server.domain.errors import HistoryUnavailableError
from server.rpc.context import Context
from server.rpc.history.questions import DiffQuestion, changes_question, diff_question


class HistoryServicer:
    """Reads questions and answers from the history; a database without one answers none."""

    async def DiffGraph(self, request: pb.DiffGraphRequest, context: Context) -> AsyncIterator[bytes]:
        """Compare two states of the graph; the answer comes in parts."""
        for part in _parts(diff_question(request)):
            yield part

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        """List single changes, newest first, or those near a service first."""
        changes_question(request)
        raise HistoryUnavailableError("this server keeps no history")


def _parts(_: DiffQuestion) -> Iterator[bytes]:
    raise HistoryUnavailableError("this server keeps no history")
