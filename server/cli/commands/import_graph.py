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
from server.cli.failures import InputError, read_input
from server.cli.filters import Source
from server.cli.ingest import Ingested, send
from server.cli.options import AsJson
from server.cli.render.text import counted, print_json, print_lines, printable
from server.cli.rows import WrittenRows, write_rows
from server.formats.documents import json_document
from server.formats.exported import GraphRows, is_exported, read_exported
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
    json is IngestGraphRequest of the contract, one or a list; or what 'depgraph export json' wrote,
    whose rows replace those of the same names. The whole file is read before anything is sent.
    """
    began = monotonic()
    content = read_input(file, lambda raw: _content(form, raw))
    if isinstance(content, GraphRows):
        if source is not None:
            raise InputError("--source: an exported graph says the source of each dependency")
        with connected(server, attempts=5) as client:
            _print_rows(write_rows(client, content, server), monotonic() - began, as_json=as_json)
        return
    reports, jaeger = content
    if source is not None:
        _attribute(reports, source)
    with connected(server, attempts=5) as client:
        ingested = send(client, reports, server)
    _print(ingested, jaeger, monotonic() - began, as_json=as_json)


def _content(form: Format, raw: bytes) -> GraphRows | tuple[list[IngestGraphRequest], JaegerReport | None]:
    if form == "json" and is_exported(json_document(raw)):
        return read_exported(raw)
    return _reports(form, raw)


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


def _print_rows(written: WrittenRows, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(written._asdict() | {"seconds": round(seconds, 3)})
        return
    done = (
        f"services: {written.services_created:,} created, {written.services_updated:,} set; "
        f"dependencies: {written.dependencies_created:,} created, {written.dependencies_updated:,} set; "
        f"{counted(written.aliases, 'alias', 'aliases')}; {seconds:.1f} s"
    )
    print_lines([done])


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
