"""What a client reads from responses: the revision of its latest write, the outcomes of a batch."""

from google.rpc.status_pb2 import Status

from depgraph.v1.graph_service_pb2 import BatchTraverseResponse, TraverseResponse
from depgraph.v1.types_pb2 import Consistency


def outcomes(answer: BatchTraverseResponse) -> list[TraverseResponse | Status]:
    """
    List the outcome of each request, in their order: the traversal, or the status it failed with.

    ::

        for request, outcome in zip(requests, outcomes(answer), strict=True):
            if isinstance(outcome, TraverseResponse):
                ...

    """
    return [result.traversal if result.HasField("traversal") else result.error for result in answer.responses]


class LatestRevision:
    """
    The revision of the latest write of a client; safe between threads.

    Concurrent writes have revisions of their own, and only the one answered last is kept: to read
    several concurrent writes, read with the ``revision`` of each response.
    """

    def __init__(self) -> None:
        self._token = ""

    def note(self, response: object) -> None:
        """Remember the revision of a write's response; other responses change nothing."""
        token = getattr(response, "revision", "")
        if isinstance(token, str) and token:
            self._token = token

    def consistency(self) -> Consistency:
        """Require that an answer holds the latest write; unset before the first write."""
        token = self._token
        return Consistency(at_least_as_fresh=token) if token else Consistency()
