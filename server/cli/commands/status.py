"""``depgraph status``: the state of a server. It must be quick, as it is a health check, too."""

from collections.abc import Iterator
from typing import Annotated

import grpc
import typer
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from depgraph import Client
from depgraph.v1.graph_service_pb2 import DetectionRole, FeedState, GetStatusRequest, GetStatusResponse
from depgraph.v1.types_pb2 import DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.commands.sources import last_success, name_of, state_of
from server.cli.connection import connected, explain
from server.cli.failures import FAILED
from server.cli.options import AsJson
from server.cli.render.text import (
    aligned,
    counted,
    enum_word,
    fields_of,
    print_coloured,
    print_json,
    printable,
)

_NOT_FOR_ME = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED}
)

Live = Annotated[
    bool, typer.Option("--live", help="Exit with code 0 while the server serves, whatever its problems.")
]


@asks_server(timeout=3.0)
def status(
    *,
    server: AskedServer,
    as_json: AsJson = False,
    live: Live = False,
) -> None:
    """
    Show health, graph size and problems.

    The exit code is 0 only when the server serves without problems. With --live it is 0 while the
    server serves: a container should not be restarted for a problem that a restart does not cure.
    """
    with connected(server) as client:
        health = _health(client)
        graph = _graph(client, server, live=live)
    if as_json:
        found = None if isinstance(graph, str) else fields_of(graph)
        print_json({"address": server.address, "health": health, "status": found}, only_ascii=True)
    else:
        _print_table(server.address, health, graph)
    has_problems = isinstance(graph, str) or bool(graph.problems)
    if health != "SERVING" or (has_problems and not live):
        raise typer.Exit(FAILED)


def _health(client: Client) -> str:
    answer = HealthStub(client.channel).Check(HealthCheckRequest())
    return str(HealthCheckResponse.ServingStatus.Name(answer.status))


def _graph(client: Client, server: AskedServer, *, live: bool) -> GetStatusResponse | str:
    """
    Ask for the status of the graph; while it is not in memory, the reason.

    Who asks only whether the server is ``live`` need not be allowed to see the status, and may ask
    a port that answers for health alone.
    """
    try:
        return client.graph.GetStatus(GetStatusRequest())
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return error.details() or error.code().name
        if live and error.code() in _NOT_FOR_ME:
            return explain(error, server)
        raise


def _print_table(address: str, health: str, graph: GetStatusResponse | str) -> None:
    rows = [("address", address), ("health", health)]
    rows += [("reason", graph)] if isinstance(graph, str) else _rows(graph)
    for (name, value), text in zip(
        rows, aligned([(name, printable(value)) for name, value in rows]), strict=True
    ):
        is_bad = name == "problem" or (name == "health" and value != "SERVING")
        print_coloured(text, "red" if is_bad else "green" if name == "health" else None)


def _rows(graph: GetStatusResponse) -> Iterator[tuple[str, str]]:
    warm, lag = graph.warm_duration.ToTimedelta(), graph.freshness.lag.ToTimedelta()
    yield "services", f"{graph.service_count:,}"
    yield "dependencies", f"{graph.dependency_count:,} ({graph.stale_dependency_count:,} stale)"
    if graph.waiting_dependency_count:
        yield "dangling", f"{graph.waiting_dependency_count:,} dependencies of services that are missing"
    yield "feed", enum_word(FeedState, graph.feed_state)
    yield "lag", f"{lag.total_seconds() * 1000:,.0f} ms"
    yield "warmed", f"{graph.warm_count:,} x, last in {warm.total_seconds():.2f} s"
    if graph.HasField("last_audit"):
        yield "audited", _audit(graph)
    yield "alerts", _alerts(graph)
    yield "log", f"{graph.change_log_rows:,} changes kept"
    yield "started", _time(graph.start_time)
    if graph.worker_count > 1:
        yield "worker", f"{graph.worker} of {graph.worker_count}"
    if graph.transport:
        yield "transport", graph.transport
    yield "version", graph.server_version
    for seen in graph.last_ingestions:
        yield f"last {enum_word(DiscoverySource, seen.discovery_source)}", _time(seen.ingest_time)
    for source in graph.sources:
        kind = enum_word(DiscoverySource, source.discovery_source)
        said = f"{state_of(source)}, {kind}, last success {last_success(source)}"
        yield f"reporter {name_of(source)}", said
    for problem in graph.problems:
        yield "problem", problem


def _alerts(graph: GetStatusResponse) -> str:
    detection = graph.detection
    role = enum_word(DetectionRole, detection.role)
    others = {"standby": "kept by another process", "off": "not kept by this process (--no-detect)"}
    if role != "writer":
        return others.get(role, role)
    if not detection.revision:
        return "being compared with the graph"
    state = "caught up" if detection.revision == graph.freshness.revision else "catching up"
    cycles = counted(detection.cycle_count, "cyclic component")
    written = f", written {_time(detection.write_time)}" if detection.HasField("write_time") else ""
    return f"{state}, {cycles}{written}"


def _audit(graph: GetStatusResponse) -> str:
    audit = graph.last_audit
    found = f"{counted(audit.differing_rows, 'row')} differed" if audit.differing_rows else "equal"
    return f"{_time(audit.audit_time)}, {found}, in {audit.duration.ToTimedelta().total_seconds():.2f} s"


def _time(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S} UTC"
