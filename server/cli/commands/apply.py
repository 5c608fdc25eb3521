"""``depgraph apply``: makes the change that a file describes."""

from collections.abc import Sequence

import grpc

from depgraph import Client
from depgraph.v1.analysis_service_pb2 import DependencyKey
from depgraph.v1.dependency_service_pb2 import DeleteDependencyRequest, ListDependenciesRequest
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, failure, pages
from server.cli.failures import read_input
from server.cli.ingest import Ingested, send
from server.cli.options import AsJson, ChangeFile
from server.cli.render.text import counted, print_json, print_lines, printable
from server.formats.native import read_change


@asks_server(timeout=120.0)
def apply(file: ChangeFile, *, as_json: AsJson = False, server: AskedServer) -> None:
    """
    Make the change that a file describes.

    FILE has the format of 'depgraph check'. Its dependencies are removed one by one, then the
    others are added in batches, so other clients may see a part of the change for a moment.
    Applying a file again is safe: what is gone stays gone.
    """
    change = read_input(file, read_change)
    with connected(server, attempts=5) as client:
        removed = _remove(client, change.removed, server)
        ingested = send(client, change.reports, server) if change.reports else Ingested()
    if as_json:
        print_json({"edges_removed": removed} | ingested.as_dict(), only_ascii=True)
        return
    print_lines((f"warning: {printable(warning)}" for warning in ingested.warnings), err=True)
    done = (
        f"dependencies: {removed:,} removed, {ingested.edges_created:,} created, "
        f"{ingested.edges_updated:,} updated, {ingested.edges_unchanged:,} unchanged; "
        f"{counted(ingested.services_created, 'service')} created"
    )
    print_lines([done])


def _remove(client: Client, keys: Sequence[DependencyKey], server: AskedServer) -> int:
    """Remove the dependencies that the keys name; returns their number."""
    removed = 0
    try:
        for key in keys:
            for found in _ids(client, key):
                removed += _delete(client, found)
    except grpc.RpcError as error:
        done = f"{counted(removed, 'dependency', 'dependencies')} removed so far"
        raise failure(error, server, f" ({done}; applying the file again is safe)") from error
    return removed


def _delete(client: Client, dependency_id: str) -> bool:
    """Delete a dependency; false if it is gone already."""
    try:
        client.dependencies.DeleteDependency(DeleteDependencyRequest(id=dependency_id))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


def _ids(client: Client, key: DependencyKey) -> list[str]:
    """Find the dependencies of a pair, stale ones too."""
    request = ListDependenciesRequest(
        source_service_id=key.source_service_id,
        target_service_id=key.target_service_id,
        discovery_source=key.discovery_source,
        include_stale=True,
    )
    listed = pages(client.dependencies.ListDependencies, request)
    return [dependency.id for page in listed for dependency in page.dependencies]
