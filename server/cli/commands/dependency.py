"""``depgraph dependency``: creates, changes and deletes the dependency of a pair."""

from typing import Annotated, Literal

import typer

from depgraph import Client
from depgraph.v1.dependency_service_pb2 import (
    BatchUpsertDependenciesRequest,
    DeleteDependencyRequest,
    ListDependenciesRequest,
)
from depgraph.v1.types_pb2 import (
    BackoffStrategy,
    CommunicationMode,
    Dependency,
    DependencyCriticality,
    DiscoverySource,
)
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.failures import InputError, confirm
from server.cli.filters import Source
from server.cli.options import AsJson, Yes
from server.cli.render.labels import call_label, dependency_label
from server.cli.render.text import counted, fields_of, print_json, print_lines

app = typer.Typer(help="Create, change or delete a dependency.", no_args_is_help=True)

Caller = Annotated[str, typer.Argument(metavar="CALLER", help="Business name of the caller.")]
Callee = Annotated[str, typer.Argument(metavar="CALLEE", help="Business name of the callee.")]


@app.command(name="set")
@asks_server(timeout=30.0)
def set_dependency(
    caller: Caller,
    callee: Callee,
    *,
    mode: Annotated[
        Literal["sync", "async", "unknown"] | None,
        typer.Option(help="Whether the caller waits; needed for a new one."),
    ] = None,
    criticality: Annotated[
        Literal["hard", "soft", "degraded", "unknown"] | None,
        typer.Option(help="What the caller does when the callee fails. New: hard."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Such as grpc; empty = not known.")
    ] = None,
    timeout_ms: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, metavar="MS", help="Timeout that the caller sets; 0 = not known."),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(min=-1, max=100, metavar="N", help="Attempts after the first; -1 = not known."),
    ] = None,
    backoff: Annotated[
        Literal["exponential", "linear", "constant"] | None,
        typer.Option(help="How the wait between attempts grows."),
    ] = None,
    source: Annotated[
        Source, typer.Option(metavar="SOURCE", help="The discovery source that it is of.")
    ] = Source.MANUAL,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Create a dependency, or change what is given.

    What is not given stays as it is. Each discovery source has a dependency of its own for a pair;
    yours is the manual one.
    """
    with connected(server) as client:
        known = _of_pair(client, caller, callee, source)
        if not known and mode is None:
            raise InputError(f"{call_label(caller, callee)} is new: say with --mode whether the caller waits")
        row = known[0] if known else Dependency(source_service_id=caller, target_service_id=callee)
        row.discovery_source = DiscoverySource.Value(f"DISCOVERY_SOURCE_{source.name}")
        # Who sets it has just seen it.
        row.ClearField("last_observed_time")
        row.is_stale = False
        if mode is not None:
            row.communication_mode = CommunicationMode.Value(f"COMMUNICATION_MODE_{mode.upper()}")
        if criticality is not None:
            row.criticality = DependencyCriticality.Value(f"DEPENDENCY_CRITICALITY_{criticality.upper()}")
        _set_call(row, protocol, timeout_ms, retries, backoff)
        request = BatchUpsertDependenciesRequest(dependencies=[row])
        answer = client.dependencies.BatchUpsertDependencies(request)
    stored, created = answer.dependencies[0], bool(answer.created_count)
    if as_json:
        print_json({"dependency": fields_of(stored), "created": created})
    else:
        done = "created" if created else "set"
        print_lines([f"{done} {call_label(caller, callee)}: {dependency_label([stored])}"])


@app.command()
@asks_server(timeout=30.0)
def delete(
    caller: Caller,
    callee: Callee,
    *,
    source: Annotated[
        Source | None,
        typer.Option(metavar="SOURCE", help="Only that of this discovery source. Default: all."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Delete the dependencies of a pair.

    Stale ones go, too. A source that still sees the call will report it again.
    """
    with connected(server) as client:
        found = _of_pair(client, caller, callee, source)
        if not found:
            of = "" if source is None else f" of the discovery source {source.value}"
            raise InputError(f"there is no dependency {call_label(caller, callee)}{of}")
        what = f"{call_label(caller, callee)}: {dependency_label(found)}"
        if not yes:
            confirm(f"Delete {what}?")
        for row in found:
            client.dependencies.DeleteDependency(DeleteDependencyRequest(id=row.id))
    if as_json:
        print_json({"dependencies": [fields_of(row) for row in found]})
    else:
        print_lines([f"deleted {counted(len(found), 'dependency', 'dependencies')} {what}"])


def _of_pair(client: Client, caller: str, callee: str, source: Source | None) -> list[Dependency]:
    request = ListDependenciesRequest(source_service_id=caller, target_service_id=callee, include_stale=True)
    if source is not None:
        request.discovery_source = DiscoverySource.Value(f"DISCOVERY_SOURCE_{source.name}")
    listed = pages(client.dependencies.ListDependencies, request)
    return [row for page in listed for row in page.dependencies]


def _set_call(
    row: Dependency, protocol: str | None, timeout_ms: int | None, retries: int | None, backoff: str | None
) -> None:
    """Set what is given of how the caller calls; empty, 0 and -1 = not known."""
    if protocol is not None:
        row.ClearField("protocol")
        if protocol:
            row.protocol = protocol
    if timeout_ms is not None:
        row.ClearField("timeout_ms")
        if timeout_ms:
            row.timeout_ms = timeout_ms
    if retries == -1:
        row.ClearField("retry_config")
    elif retries is not None:
        row.retry_config.max_retries = retries
    if backoff is not None:
        if not row.HasField("retry_config"):
            raise InputError("--backoff: say with --retries how many attempts follow the first")
        row.retry_config.backoff_strategy = BackoffStrategy.Value(f"BACKOFF_STRATEGY_{backoff.upper()}")
