"""``depgraph import``: sends the graph of a file to a running server."""

from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import typer

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_UNSPECIFIED, DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.failures import read_input
from server.cli.filters import Source
from server.cli.ingest import Ingested, send
from server.cli.options import AsJson
from server.cli.render.text import counted, print_json, print_lines, printable
from server.formats.jaeger import JaegerReport, read_jaeger
from server.formats.native import read_native

MAX_WARNINGS = 10

Format = Literal["jaeger", "json"]


@asks_server(timeout=120.0)
def import_graph(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="jaeger or json.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Plain or gzip; - = standard input.")],
    *,
    source: Annotated[
        Source | None,
        typer.Option(
            metavar="SOURCE",
            help="Discovery source: manual, otel_service_graph, kubernetes or service_mesh. "
            "Default: the one in the file, or that of the format.",
        ),
    ] = None,
    server: AskedServer,
    as_json: AsJson = False,
) -> None:
    """
    Import services and dependencies.

    Importing a file again changes nothing.

    jaeger is the answer of Jaeger's /api/dependencies: a list of {"parent", "child", "callCount"},
    by itself or under "data" or "dependencies". Entries that can't be used are counted and skipped.
    json is IngestGraphRequest of the contract, one or a list. The whole file is read before
    anything is sent.
    """
    began = monotonic()
    reports, jaeger = read_input(file, lambda raw: _reports(form, raw))
    if source is not None:
        _attribute(reports, source)
    with connected(server, attempts=5) as client:
        ingested = send(client, reports, server)
    _print(ingested, jaeger, monotonic() - began, as_json=as_json)


def _reports(form: Format, raw: bytes) -> tuple[list[IngestGraphRequest], JaegerReport | None]:
    """Read a file; for Jaeger's, also returns what was skipped."""
    if form == "json":
        return read_native(raw), None
    report = read_jaeger(raw)
    return [report.request()], report


def _attribute(reports: list[IngestGraphRequest], source: Source) -> None:
    for report in reports:
        report.discovery_source = DiscoverySource.Value(f"DISCOVERY_SOURCE_{source.name}")
        for edge in report.edges:
            edge.discovery_source = DISCOVERY_SOURCE_UNSPECIFIED


def _print(ingested: Ingested, jaeger: JaegerReport | None, seconds: float, *, as_json: bool) -> None:
    self_calls = jaeger.self_calls if jaeger else 0
    skipped = jaeger.skipped if jaeger else ()
    if as_json:
        answer = ingested.as_dict() | {
            "self_calls_skipped": self_calls,
            "entries_skipped": [asdict(each) for each in skipped],
            "seconds": round(seconds, 3),
        }
        print_json(answer, only_ascii=True)
        return
    warnings = [*map(str, skipped), *ingested.warnings]
    if (more := len(warnings) - MAX_WARNINGS) > 0:
        warnings[MAX_WARNINGS:] = [f"and {counted(more, 'more warning')}"]
    print_lines((f"warning: {printable(warning)}" for warning in warnings), err=True)
    done = (
        f"{counted(ingested.services_created, 'service')} created; "
        f"dependencies: {ingested.edges_created:,} created, "
        f"{ingested.edges_updated:,} updated, {ingested.edges_unchanged:,} unchanged; "
        f"{counted(self_calls, 'self-call')} skipped; {seconds:.1f} s"
    )
    print_lines([done])
