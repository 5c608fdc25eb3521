"""Names that no service has, and what may have been meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from depgraph import Client
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest
from server.cli.failures import CommandError
from server.cli.render.text import visible

SUGGESTION_SECONDS = 2.0


@contextmanager
def suggesting_names(client: Client) -> Iterator[None]:
    """Make of NOT_FOUND that is about a service a ``CommandError`` with similar names; every other failure is handed on as it is."""
    try:
        yield
    except grpc.RpcError as error:
        name = _missing(error) if error.code() is grpc.StatusCode.NOT_FOUND else None
        if name is None:
            raise
        similar = _similar_names(client, name)
        hint = f": did you mean {' or '.join(similar)}?" if similar else ""
        raise CommandError(f"no service named '{visible(name)}'{hint}") from error


def _missing(error: grpc.RpcError) -> str | None:
    """Read which service the server did not find, the first of several."""
    status, told = rpc_status.from_call(error), ErrorInfo()
    details = status.details if status is not None else ()
    names = (told.metadata.get("service_id") for detail in details if detail.Unpack(told))
    return next(names, None)


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
