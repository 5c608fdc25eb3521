"""``depgraph status``: also what a container's health check runs, so it is quick and its exit code is the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.failures import FAILED
from server.cli.render.text import printable
from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from depgraph import Client
    from depgraph.v1.graph_service_pb2 import GetStatusResponse

TIMEOUT_SECONDS = 3.0


Live = Annotated[bool, typer.Option("--live", help="Exit with 0 while it serves, whatever its problems.")]


def status(*, address: Address = DEFAULTS.listen, as_json: AsJson = False, live: Live = False) -> None:
    """
    Tell how a server is: what its graph holds, how fresh that is, what is wrong. Exit code 0 only when it serves without problems.

    With --live problems are told, but count only when they keep it from serving: so a container is not ended for what a restart
    would not cure.
    """
    from server.cli.connection import connected

    with connected(address, timeout=TIMEOUT_SECONDS) as client:
        health = _health(client)
        graph = _graph(client)
    if as_json:
        typer.echo(json.dumps({"address": address, "health": health, "status": _as_dict(graph)}, indent=2))
    else:
        _print_table(address, health, graph)
    has_problems = isinstance(graph, str) or bool(graph.problems)
    if health != "SERVING" or (has_problems and not live):
        raise typer.Exit(FAILED)


def _health(client: Client) -> str:
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    answer = HealthStub(client.channel).Check(HealthCheckRequest())
    return str(HealthCheckResponse.ServingStatus.Name(answer.status))


def _graph(client: Client) -> GetStatusResponse | str:
    """Ask what the graph holds; while it is not in memory yet, why."""
    import grpc

    from depgraph.v1.graph_service_pb2 import GetStatusRequest

    try:
        return client.graph.GetStatus(GetStatusRequest())
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return error.details() or error.code().name
        raise


def _as_dict(graph: GetStatusResponse | str) -> dict[str, Any] | None:
    from server.cli.render.messages import fields_of

    if isinstance(graph, str):
        return None
    return fields_of(graph)


def _print_table(address: str, health: str, graph: GetStatusResponse | str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("address", Text(printable(address)))
    table.add_row("health", Text(health, style="green" if health == "SERVING" else "red"))
    for name, value in [("reason", graph)] if isinstance(graph, str) else _rows(graph):
        table.add_row(name, Text(printable(value)))
    for problem in () if isinstance(graph, str) else graph.problems:
        table.add_row("problem", Text(printable(problem), style="red"))
    Console(highlight=False).print(table)


def _rows(graph: GetStatusResponse) -> list[tuple[str, str]]:
    from depgraph.v1.graph_service_pb2 import FeedState
    from depgraph.v1.types_pb2 import DiscoverySource

    warm, lag = graph.warm_duration.ToTimedelta(), graph.freshness.lag.ToTimedelta()
    return [
        ("services", f"{graph.service_count:,}"),
        ("dependencies", f"{graph.dependency_count:,} ({graph.stale_dependency_count:,} stale)"),
        *([("waiting", f"{graph.waiting_dependency_count:,}")] if graph.waiting_dependency_count else ()),
        ("feed", FeedState.Name(graph.feed_state).removeprefix("FEED_STATE_").lower()),
        ("lag", f"{lag.total_seconds() * 1000:,.0f} ms"),
        ("warmed", f"{graph.warm_count:,} x, last in {warm.total_seconds():.2f} s"),
        *_audit_row(graph),
        ("alerts", _alerts(graph)),
        ("log", f"{graph.change_log_rows:,} changes kept"),
        ("started", f"{graph.start_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC"),
        *([("worker", f"{graph.worker} of {graph.worker_count}")] if graph.worker_count > 1 else ()),
        *([("transport", graph.transport)] if graph.transport else ()),
        ("version", graph.server_version),
        *(
            (
                f"last {DiscoverySource.Name(seen.discovery_source).removeprefix('DISCOVERY_SOURCE_').lower()}",
                f"{seen.ingest_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC",
            )
            for seen in graph.last_ingestions
        ),
    ]


def _alerts(graph: GetStatusResponse) -> str:
    from depgraph.v1.graph_service_pb2 import DetectionRole

    detection = graph.detection
    role = DetectionRole.Name(detection.role).removeprefix("DETECTION_ROLE_").lower()
    told = {"standby": "kept by another process", "off": "not kept by this process (--no-detect)"}
    if role != "writer":
        return told.get(role, role)
    count = f"{detection.cycle_count:,} cyclic component{'' if detection.cycle_count == 1 else 's'}"
    if not detection.revision:
        return "being compared with the graph"
    level = "level" if detection.revision == graph.freshness.revision else "catching up"
    written = (
        f", written {detection.write_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC"
        if detection.HasField("write_time")
        else ""
    )
    return f"{level}, {count}{written}"


def _audit_row(graph: GetStatusResponse) -> list[tuple[str, str]]:
    if not graph.HasField("last_audit"):
        return []
    audit = graph.last_audit
    took = audit.duration.ToTimedelta().total_seconds()
    found = f"{audit.differing_rows:,} rows differed" if audit.differing_rows else "equal"
    return [("audited", f"{audit.audit_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC, {found}, in {took:.2f} s")]
