"""``depgraph import``: a graph from a file into a running server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.failures import CommandError
from server.cli.render.text import counted, printable
from server.cli.settings import DEFAULTS, Address, AsJson
from server.formats.problems import FormatError

if TYPE_CHECKING:
    from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
    from server.cli.ingest import Taken

BATCH_SECONDS = 120.0
MOST_WARNINGS = 10

Format = Literal["jaeger", "json"]
Source = Literal["manual", "otel_service_graph", "kubernetes", "service_mesh"]


def import_graph(
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="jaeger or json.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Plain or gzip; - = standard input.")],
    *,
    source: Annotated[
        Source | None, typer.Option(help="Who discovered it; default: what the file says, or its kind.")
    ] = None,
    address: Address = DEFAULTS.listen,
    as_json: AsJson = False,
) -> None:
    """
    Take the graph of a file in. Importing it again is safe: it changes nothing.

    jaeger is the answer of Jaeger's /api/dependencies: a list of {"parent", "child", "callCount"}. json is IngestGraphRequest of the contract, one or a
    list. A file that is not sound is refused before anything is sent.
    """
    from server.cli.connection import connected
    from server.cli.ingest import send

    began = monotonic()
    reports, self_calls = _read(form, file, source)
    with connected(address, timeout=BATCH_SECONDS, attempts=5) as client:
        taken = send(client, reports, address)
    _tell(taken, self_calls, monotonic() - began, as_json=as_json)


def _read(form: Format, file: Path, source: Source | None) -> tuple[list[IngestGraphRequest], int]:
    """Read everything before anything is sent; also returns how many calls of a service to itself were skipped."""
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        reports, self_calls = _parsed(form, raw)
    except FormatError as error:
        raise CommandError(f"{file}: {error}") from error
    if source is not None:
        _attribute(reports, source)
    return reports, self_calls


def _parsed(form: Format, raw: bytes) -> tuple[list[IngestGraphRequest], int]:
    from server.formats.jaeger import read_jaeger
    from server.formats.native import read_native

    if form == "json":
        return read_native(raw), 0
    report = read_jaeger(raw)
    return [report.request()], report.self_calls


def _attribute(reports: list[IngestGraphRequest], source: Source) -> None:
    from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_UNSPECIFIED, DiscoverySource

    for report in reports:
        report.discovery_source = DiscoverySource.Value(f"DISCOVERY_SOURCE_{source.upper()}")
        for edge in report.edges:
            edge.discovery_source = DISCOVERY_SOURCE_UNSPECIFIED


def _tell(taken: Taken, self_calls: int, seconds: float, *, as_json: bool) -> None:
    if as_json:
        answer = taken.as_dict() | {"self_calls_skipped": self_calls, "seconds": round(seconds, 3)}
        typer.echo(json.dumps(answer, indent=2))
        return
    for warning in taken.warnings[:MOST_WARNINGS]:
        typer.echo(f"warning: {printable(warning)}", err=True)
    if len(taken.warnings) > MOST_WARNINGS:
        typer.echo(f"warning: and {counted(len(taken.warnings) - MOST_WARNINGS, 'more warning')}", err=True)
    typer.echo(
        f"{counted(taken.services_created, 'service')} created; dependencies: {taken.edges_created:,} created, "
        f"{taken.edges_updated:,} updated, {taken.edges_unchanged:,} unchanged; "
        f"{counted(self_calls, 'self-call')} skipped; {seconds:.1f} s"
    )
