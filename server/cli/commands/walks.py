"""What ``depgraph show`` asks the server."""

from depgraph import Client
from depgraph.v1.graph_service_pb2 import StreamTraverseRequest, TraverseResponse
from server.cli.unknown import suggesting_names

WALK_SECONDS = 60.0


def walk(client: Client, request: StreamTraverseRequest) -> TraverseResponse:
    """Put the parts of a streamed walk together; ``CommandError`` with similar names when there is no such service."""
    whole = TraverseResponse()
    with suggesting_names(client):
        for part in client.graph.StreamTraverse(request, timeout=WALK_SECONDS):
            # The contract says: the parts' fields, appended in order, are those of the unary answer.
            whole.MergeFromString(part.SerializeToString())
    return whole
