"""Rows of a graph: read from a server, whole or around a service, and written to one."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

import grpc
import typer

from depgraph import Client
from depgraph.v1.catalog_service_pb2 import (
    AddAliasRequest,
    BatchUpsertServicesRequest,
    GetServiceRequest,
    ListAliasesRequest,
    ListServicesRequest,
)
from depgraph.v1.dependency_service_pb2 import (
    BatchUpsertDependenciesRequest,
    IngestGraphRequest,
    ListDependenciesRequest,
)
from depgraph.v1.graph_service_pb2 import Direction, TraverseRequest
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    COMMUNICATION_MODE_UNKNOWN,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    Dependency,
    Service,
    ServiceAlias,
)
from server.cli.asked import AskedServer
from server.cli.connection import failure, pages, walk
from server.cli.ingest import progress_bar
from server.formats.exported import GraphRows

PAGE_SIZE = 1_000
BATCH = 2_000
# Half of what a server takes in one call by default.
BATCH_BYTES = 1024 * 1024

RowT = TypeVar("RowT", Service, Dependency, ServiceAlias)


class WrittenRows(NamedTuple):
    """What an import of rows came to; ``updated`` ones existed before, changed or not."""

    services_created: int
    services_updated: int
    dependencies_created: int
    dependencies_updated: int
    aliases: int


def whole_graph(client: Client, *, include_stale: bool) -> GraphRows:
    """
    Read all rows from the database, page by page. O(rows).

    Dependencies come first: those of which a service is gone by the time that services are read are
    left out, so that the rows fit each other while others write.
    """
    request = ListDependenciesRequest(page_size=PAGE_SIZE, include_stale=include_stale)
    dependencies = [
        row for page in pages(client.dependencies.ListDependencies, request) for row in page.dependencies
    ]
    listed = pages(client.catalog.ListServices, ListServicesRequest(page_size=PAGE_SIZE))
    services = {row.service_id: row for page in listed for row in page.services}
    return _sorted(services, dependencies, _aliases(client, services.keys()))


def graph_around(client: Client, request: TraverseRequest, timeout: float) -> GraphRows:
    """Read a service and what a walk from it finds, all but its own row from one snapshot."""
    answer = walk(client, request, timeout)
    row = client.catalog.GetService(GetServiceRequest(service_id=request.service_id)).service
    services = {each.service_id: each for each in (row, *answer.services)}
    return _sorted(services, list(answer.dependencies), _aliases(client, services.keys()))


def direction_value(direction: str) -> Direction.ValueType:
    """Return the direction of a word such as ``both``."""
    return Direction.Value(f"DIRECTION_{direction.upper()}")


def forget_guesses(client: Client, report: IngestGraphRequest, server: AskedServer) -> int:
    """
    Make mode and criticality unknown of those dependencies of a report that look guessed.

    Imports of Jaeger's calls once wrote *sync* and *hard*, which Jaeger does not know, and nothing
    else. Rows that say more were written by others, and stay. Returns how many there were.
    """
    listed = pages(client.catalog.ListAliases, ListAliasesRequest(page_size=PAGE_SIZE))
    names = {row.alias: row.service_id for page in listed for row in page.aliases}
    ends = ((edge.source_service_id, edge.target_service_id) for edge in report.edges)
    reported = {(names.get(source, source), names.get(target, target)) for source, target in ends}
    request = ListDependenciesRequest(
        page_size=PAGE_SIZE, include_stale=True, discovery_source=report.discovery_source
    )
    guessed = [
        row
        for page in pages(client.dependencies.ListDependencies, request)
        for row in page.dependencies
        if (row.source_service_id, row.target_service_id) in reported and _is_guessed(row)
    ]
    for row in guessed:
        row.communication_mode = COMMUNICATION_MODE_UNKNOWN
        row.criticality = DEPENDENCY_CRITICALITY_UNKNOWN
        for generated in ("id", "create_time", "update_time"):
            row.ClearField(generated)
    write_rows(client, GraphRows([], guessed, []), server)
    return len(guessed)


def _is_guessed(row: Dependency) -> bool:
    says_more = any(row.HasField(name) for name in ("protocol", "timeout_ms", "retry_config"))
    is_default = row.communication_mode == COMMUNICATION_MODE_SYNC
    return is_default and row.criticality == DEPENDENCY_CRITICALITY_HARD and not says_more


def write_rows(client: Client, rows: GraphRows, server: AskedServer) -> WrittenRows:
    """
    Create or replace rows, in batches: services, then dependencies, then aliases.

    A failure says how many rows are in; writing them again is safe.
    """
    counts = {"services_created": 0, "services_updated": 0, "dependencies_created": 0}
    counts |= {"dependencies_updated": 0, "aliases": 0}
    done = 0
    try:
        with progress_bar() as progress:
            task = progress.add_task("importing", total=len(rows))
            for written, taken in _written(client, rows):
                done += taken
                progress.update(task, completed=done)
                for name, count in written.items():
                    counts[name] += count
    except (grpc.RpcError, KeyboardInterrupt) as error:
        so_far = f" ({done:,} of {len(rows):,} rows are in; importing the file again is safe)"
        if isinstance(error, grpc.RpcError):
            raise failure(error, server, so_far) from error
        typer.echo(f"depgraph: interrupted{so_far}", err=True)
        raise
    return WrittenRows(**counts)


def _written(client: Client, rows: GraphRows) -> Iterator[tuple[dict[str, int], int]]:
    for services in _batches(rows.services):
        made = client.catalog.BatchUpsertServices(BatchUpsertServicesRequest(services=services))
        counts = {"services_created": made.created_count, "services_updated": made.updated_count}
        yield counts, len(services)
    for dependencies in _batches(rows.dependencies):
        request = BatchUpsertDependenciesRequest(dependencies=dependencies)
        wrote = client.dependencies.BatchUpsertDependencies(request)
        counts = {"dependencies_created": wrote.created_count, "dependencies_updated": wrote.updated_count}
        yield counts, len(dependencies)
    for each in rows.aliases:
        client.catalog.AddAlias(AddAliasRequest(alias=each.alias, service_id=each.service_id))
        yield {"aliases": 1}, 1


def _batches(rows: Sequence[RowT]) -> Iterator[list[RowT]]:
    """Cut rows into batches that one call may carry; a larger row is one of its own."""
    batch: list[RowT] = []
    size = 0
    for row in rows:
        weight = row.ByteSize()
        if batch and (len(batch) == BATCH or size + weight > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += weight
    if batch:
        yield batch


def _aliases(client: Client, services: Collection[str]) -> list[ServiceAlias]:
    """List the aliases of these services."""
    request = ListAliasesRequest(page_size=PAGE_SIZE)
    return [
        row
        for page in pages(client.catalog.ListAliases, request)
        for row in page.aliases
        if row.service_id in services
    ]


def _sorted(
    services: dict[str, Service], dependencies: Sequence[Dependency], aliases: list[ServiceAlias]
) -> GraphRows:
    fitting = [
        row for row in dependencies if row.source_service_id in services and row.target_service_id in services
    ]
    fitting.sort(key=lambda row: (row.source_service_id, row.target_service_id, row.discovery_source))
    return GraphRows([services[name] for name in sorted(services)], fitting, aliases)
