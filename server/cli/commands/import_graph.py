"""``depgraph import``: sends the graph of a file or URL to a running server."""

from dataclasses import asdict
from time import monotonic
from typing import Annotated

import typer

from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_UNSPECIFIED, DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.failures import InputError
from server.cli.filters import Source
from server.cli.graph_file import Reports, attribute, name_rules, named, read_graph
from server.cli.ingest import Ingested, send
from server.cli.options import AsJson
from server.cli.render.text import counted, print_json, print_lines, printable
from server.cli.rows import WrittenRows, write_rows
from server.cli.rows import forget_guesses as forget
from server.formats.exported import GraphRows
from server.formats.naming import NameRules
from server.formats.reading import SELF_CALL

MAX_WARNINGS = 10
_GUESSED = ("jaeger", "zipkin")


@asks_server(timeout=120.0)
def import_graph(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="[FORMAT] FILE|URL",
            help="A file, plain or gzip (- = standard input), or http:// or https://, in one of the formats "
            "backstage, jaeger, json, kiali, kubernetes, otlp, prometheus and zipkin. Default: the one that "
            "its content shows.",
        ),
    ],
    *,
    source: Annotated[
        Source | None,
        typer.Option(
            metavar="SOURCE",
            help="Discovery source: manual, catalog, otel_service_graph, kubernetes or service_mesh. "
            "Default: the one in the file, or that of the format.",
        ),
    ] = None,
    reporter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who reports, for 'depgraph sources'. Default: the format and the name of the file or host.",
        ),
    ] = None,
    name_template: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="Names of services, of attributes that the format gives, such as {namespace}/{service}.",
        ),
    ] = "{service}",
    rewrite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN=REPLACEMENT",
            help="Regular expression to replace in names; repeatable, in order.",
        ),
    ] = None,
    forget_guesses: Annotated[
        bool,
        typer.Option(
            "--forget-guesses",
            help="Jaeger and Zipkin: make unknown what earlier versions guessed, sync and hard, of those "
            "dependencies of the file that say nothing else.",
        ),
    ] = False,
    server: AskedServer,
    as_json: AsJson = False,
) -> None:
    """
    Import services and dependencies.

    Importing a file again within five minutes changes nothing, and later only when the
    dependencies were last seen.

    What can't be used of a file is counted by reason and skipped. The whole file is read before
    anything is sent.

    json is IngestGraphRequest of the contract, one or a list; or what 'depgraph export json' wrote,
    whose rows replace those of the same names.
    """
    began = monotonic()
    form, place = named(given)
    names = name_rules(name_template, rewrite or ())
    content = read_graph(form, place, names)
    if names != NameRules() and (isinstance(content, GraphRows) or content.form == "json"):
        raise InputError(
            "--name-template and --rewrite are for other formats; json has the names of services"
        )
    if isinstance(content, GraphRows):
        if source is not None:
            raise InputError("--source: an exported graph says the source of each dependency")
        if reporter is not None:
            raise InputError("--reporter: an exported graph is written as people write, not reported")
        if forget_guesses:
            raise InputError("--forget-guesses is for jaeger and zipkin")
        with connected(server, attempts=5) as client:
            _print_rows(write_rows(client, content, server), monotonic() - began, as_json=as_json)
        return
    attribute(content, place, reporter)
    if source is not None:
        _set_source(content, source)
    if forget_guesses and content.form not in _GUESSED:
        raise InputError(f"--forget-guesses is for jaeger and zipkin; of {content.form} nothing was guessed")
    with connected(server, attempts=5) as client:
        forgotten = sum(forget(client, each, server) for each in content.reports) if forget_guesses else 0
        ingested = send(client, content.reports, server)
    if forget_guesses and not as_json:
        print_lines([f"{counted(forgotten, 'guess', 'guesses')} made unknown"])
    _print(ingested, content, forgotten, monotonic() - began, as_json=as_json)


def _set_source(content: Reports, source: Source) -> None:
    for report in content.reports:
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


def _print(ingested: Ingested, content: Reports, forgotten: int, seconds: float, *, as_json: bool) -> None:
    self_calls = sum(each.count for each in content.skipped if each.reason == SELF_CALL)
    skipped = [each for each in content.skipped if each.reason != SELF_CALL]
    if as_json:
        answer = ingested.as_dict() | {
            "format": content.form,
            "elements": content.element_count,
            "self_calls_skipped": self_calls,
            "entries_skipped": [asdict(each) for each in skipped],
            "remark": content.remark,
            "guesses_forgotten": forgotten,
            "seconds": round(seconds, 3),
        }
        print_json(answer, only_ascii=True)
        return
    warnings = [*([content.remark] if content.remark else []), *map(str, skipped), *ingested.warnings]
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
