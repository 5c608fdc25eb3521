"""``depgraph apply``: the change of a file, made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.failures import CommandError
from server.cli.render.text import counted
from server.cli.settings import DEFAULTS, Address, AsJson
from server.formats.problems import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from depgraph import Client
    from depgraph.v1.analysis_service_pb2 import DependencyKey
    from server.formats.proposed import Proposal

BATCH_SECONDS = 120.0


def apply(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The change, plain or gzip; - = standard input."),
    ],
    *,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Make the change that 'depgraph check' would tell of: remove dependencies, then take in the others.

    FILE is in the format of 'depgraph check'. Removals are calls of their own and what is added comes in batches, so others may see a part of the change
    for a moment. Applying a file again is safe: what is gone already stays gone.
    """
    from server.cli.connection import connected
    from server.cli.ingest import Taken, send

    proposal = _read(file)
    with connected(address, timeout=BATCH_SECONDS, attempts=5) as client:
        removed = _remove(client, proposal.removed, address)
        taken = send(client, proposal.reports, address) if proposal.reports else Taken()
    if as_json:
        typer.echo(json.dumps({"edges_removed": removed} | taken.as_dict(), indent=2))
        return
    for warning in taken.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(
        f"dependencies: {removed:,} removed, {taken.edges_created:,} created, {taken.edges_updated:,} updated, "
        f"{taken.edges_unchanged:,} unchanged; {counted(taken.services_created, 'service')} created"
    )


def _read(file: Path) -> Proposal:
    from server.formats.proposed import read_proposal

    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return read_proposal(raw)
    except FormatError as error:
        raise CommandError(f"{file}: {error}") from error


def _remove(client: Client, keys: Sequence[DependencyKey], address: str) -> int:
    """Remove what the keys name; returns how many dependencies that were."""
    import grpc

    from depgraph.v1.dependency_service_pb2 import DeleteDependencyRequest
    from server.cli.failures import explain

    removed = 0
    try:
        for key in keys:
            for found in list(_ids(client, key)):
                try:
                    client.dependencies.DeleteDependency(DeleteDependencyRequest(id=found))
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
                else:
                    removed += 1
    except grpc.RpcError as error:
        done = f"{counted(removed, 'dependency', 'dependencies')} removed so far; applying the file again is safe"
        raise CommandError(f"{explain(error, address)} ({done})") from error
    return removed


def _ids(client: Client, key: DependencyKey) -> Iterator[str]:
    """Find the dependencies of a pair, stale ones too."""
    from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest

    request = ListDependenciesRequest(
        source_service_id=key.source_service_id,
        target_service_id=key.target_service_id,
        discovery_source=key.discovery_source,
        include_stale=True,
    )
    while True:
        page = client.dependencies.ListDependencies(request)
        yield from (dependency.id for dependency in page.dependencies)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
