"""What ``depgraph show`` asks the server."""

from difflib import get_close_matches
from itertools import chain

import grpc

from depgraph import Client
from depgraph.v1.graph_service_pb2 import (
    GetAdjacencyListRequest,
    StreamTraverseRequest,
    TraverseResponse,
)
from server.cli.failures import CommandError
from server.cli.text import visible

WALK_SECONDS = 60.0
SUGGESTION_SECONDS = 2.0


def walk(client: Client, request: StreamTraverseRequest) -> TraverseResponse:
    """Put the parts of a streamed walk together; ``CommandError`` with similar names when there is no such service."""
    whole = TraverseResponse()
    try:
        for part in client.graph.StreamTraverse(request, timeout=WALK_SECONDS):
            # The contract says: the parts' fields, appended in order, are those of the unary answer.
            whole.MergeFromString(part.SerializeToString())
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        similar = _similar_names(client, request.service_id)
        hint = f": did you mean {' or '.join(similar)}?" if similar else ""
        raise CommandError(f"no service named '{visible(request.service_id)}'{hint}") from error
    return whole


def _similar_names(client: Client, name: str) -> list[str]:
    """Look among all names, which the server has in memory, as far as they arrive within two seconds."""
    names: set[str] = set()
    try:
        for row in client.graph.GetAdjacencyList(
            GetAdjacencyListRequest(include_stale=True), timeout=SUGGESTION_SECONDS
        ):
            names.update(chain((row.service_id,), row.target_service_ids))
    except grpc.RpcError:
        pass  # a hint is not worth a second failure
    return [f"'{visible(close)}'" for close in get_close_matches(name, sorted(names), cutoff=0.7)]
