"""``depgraph service``: creates, changes and deletes one service."""

import json
from typing import Annotated, Any, Literal

import grpc
import typer
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct

from depgraph import Client
from depgraph.v1.catalog_service_pb2 import (
    CreateServiceRequest,
    DeleteServiceRequest,
    GetServiceRequest,
    UpdateServiceRequest,
)
from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest
from depgraph.v1.types_pb2 import Criticality, Service, ServiceKind
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.failures import InputError, confirm
from server.cli.options import AsJson, Yes
from server.cli.render.labels import service_label
from server.cli.render.text import counted, fields_of, print_json, print_lines, visible

PAGE_SIZE = 1_000

app = typer.Typer(help="Create, change or delete a service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SERVICE", help="Business name of the service.")]


@app.command(name="set")
@asks_server(timeout=30.0)
def set_service(
    service: Name,
    *,
    team: Annotated[
        str | None, typer.Option(metavar="TEAM", help="Team that owns it; an empty text = none.")
    ] = None,
    criticality: Annotated[
        Literal["critical", "high", "medium", "low", "unknown"] | None,
        typer.Option(help="How much the company depends on it."),
    ] = None,
    kind: Annotated[
        Literal["service", "database", "queue", "gateway", "external"] | None,
        typer.Option(help="What stands behind the name."),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="An object, which replaces the metadata.")
    ] = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Create a service, or change what is given.

    What is not given stays as it is. A service that discovery made becomes yours: no report changes
    it any more.
    """
    row = Service(service_id=service)
    changed = ["discovered"]
    if team is not None:
        changed.append("team")
        if team:
            row.team = team
    if criticality is not None:
        changed.append("criticality")
        row.criticality = Criticality.Value(f"CRITICALITY_{criticality.upper()}")
    if kind is not None:
        changed.append("kind")
        row.kind = ServiceKind.Value(f"SERVICE_KIND_{kind.upper()}")
    if metadata is not None:
        changed.append("metadata")
        row.metadata.CopyFrom(_metadata(metadata))
    with connected(server) as client:
        stored, created = _written(client, row, changed)
    if as_json:
        print_json({"service": fields_of(stored), "created": created})
    else:
        print_lines(
            [f"{'created' if created else 'set'} {visible(stored.service_id)}: {service_label(stored)}"]
        )


@app.command()
@asks_server(timeout=30.0)
def delete(service: Name, *, yes: Yes = False, as_json: AsJson = False, server: AskedServer) -> None:
    """
    Delete a service with all its dependencies.

    A source that still reports it will create it again.
    """
    with connected(server) as client:
        client.catalog.GetService(GetServiceRequest(service_id=service))
        count = _dependency_count(client, service)
        what = f"{visible(service)} with {counted(count, 'dependency', 'dependencies')}"
        if not yes:
            confirm(f"Delete {what}?")
        client.catalog.DeleteService(DeleteServiceRequest(service_id=service))
    if as_json:
        print_json({"service_id": service, "dependencies_deleted": count})
    else:
        print_lines([f"deleted {what}"])


def _metadata(text: str) -> Struct:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"--metadata is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError('--metadata is not a JSON object, such as {"on_call": "#payments"}')
    found = Struct()
    found.update(value)
    return found


def _written(client: Client, row: Service, changed: list[str]) -> tuple[Service, bool]:
    """Update the service, or create it if there is none; returns it, and whether it is new."""
    request = UpdateServiceRequest(service=row, update_mask=FieldMask(paths=changed))
    try:
        return client.catalog.UpdateService(request).service, False
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
    return client.catalog.CreateService(CreateServiceRequest(service=row)).service, True


def _dependency_count(client: Client, service: str) -> int:
    requests = (
        ListDependenciesRequest(source_service_id=service, include_stale=True, page_size=PAGE_SIZE),
        ListDependenciesRequest(target_service_id=service, include_stale=True, page_size=PAGE_SIZE),
    )
    found = (pages(client.dependencies.ListDependencies, request) for request in requests)
    return sum(len(page.dependencies) for way in found for page in way)
