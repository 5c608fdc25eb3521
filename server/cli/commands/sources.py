"""``depgraph sources``: who reports to a server, and how that goes."""

from collections.abc import Iterator

import typer

from depgraph.v1.dependency_service_pb2 import ListSourcesRequest
from depgraph.v1.types_pb2 import DiscoverySource, Source
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.options import AsJson
from server.cli.render.text import aligned, counted, enum_word, fields_of, print_json, print_lines, printable

NONE = "-"
HEADINGS = ("REPORTER", "SOURCE", "LAST SUCCESS (UTC)", "STATE", "EDGES", "ELEMENTS", "SKIPPED")


@asks_server(timeout=10.0)
def sources(*, as_json: AsJson = False, server: AskedServer) -> None:
    """
    List who reports, and how that goes.

    A reporter is silent when its last success is three of its intervals ago. Under the table stands
    what failed, and which elements could not be used.
    """
    with connected(server) as client:
        found = client.dependencies.ListSources(ListSourcesRequest()).sources
    if as_json:
        print_json({"sources": [fields_of(source) for source in found]})
    elif found:
        print_lines(aligned([HEADINGS, *map(_row, found)]))
        print_lines(line for source in found for line in _remarks(source))
    else:
        typer.echo("no reporters")


def state_of(source: Source) -> str:
    """Say in a word or two whether a reporter reports."""
    if source.is_silent:
        return "silent"
    return "failing" if source.last_error else "ok"


def last_success(source: Source) -> str:
    """Say when a reporter last reported."""
    if not source.HasField("last_success_time"):
        return "never"
    return f"{source.last_success_time.ToDatetime():%Y-%m-%d %H:%M:%S}"


def name_of(source: Source) -> str:
    """Return the name of a reporter, fit to print."""
    return printable(source.reporter) or NONE


def _row(source: Source) -> tuple[str, ...]:
    edges = source.edges_created + source.edges_updated + source.edges_unchanged
    return (
        name_of(source),
        enum_word(DiscoverySource, source.discovery_source),
        last_success(source),
        state_of(source),
        f"{edges:,}",
        f"{source.element_count:,}",
        f"{sum(source.skipped.values()):,}",
    )


def _remarks(source: Source) -> Iterator[str]:
    name = name_of(source)
    if source.last_error:
        yield f"{name}: {printable(source.last_error)}"
    for reason, count in sorted(source.skipped.items(), key=lambda each: (-each[1], each[0])):
        yield f"{name}: {counted(count, 'element')} skipped: {printable(reason)}"
