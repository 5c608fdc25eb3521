"""``depgraph whoami`` and ``depgraph writes``: who the caller is, and who wrote what."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer

from depgraph import Client
from depgraph.v1.access_service_pb2 import (
    ListWritesRequest,
    Role,
    WhoAmIRequest,
    WhoAmIResponse,
    Write,
    WriteCounts,
)
from depgraph.v1.types_pb2 import DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.options import AsJson
from server.cli.render.text import aligned, counted, enum_word, fields_of, print_json, print_lines, printable

PAGE_SIZE = 1_000
NONE = "-"


@asks_server(timeout=10.0)
def whoami(*, as_json: AsJson = False, server: AskedServer) -> None:
    """
    Show who you are to the server.

    Also what you may do: your roles, and the discovery sources that you may report for.
    """
    with connected(server) as client:
        caller = client.access.WhoAmI(WhoAmIRequest())
    if as_json:
        print_json(fields_of(caller))
    else:
        print_lines(aligned(list(_caller_rows(caller))))


@asks_server(timeout=30.0)
def writes(
    *,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="Writes listed, 0 = all that the server keeps.")
    ] = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    List who wrote what, newest first.

    These are the calls that wrote through the server; changes by plain SQL are not among them.
    --json has the revision of each, which a read can ask for.
    """
    with connected(server) as client:
        found = list(islice(_writes(client, limit), limit or None))
    if as_json:
        print_json({"writes": [fields_of(write) for write in found]})
    elif found:
        print_lines(aligned([("TIME (UTC)", "WHO", "METHOD", "CHANGES"), *map(_write_row, found)]))
    else:
        typer.echo("no writes")


def _writes(client: Client, limit: int) -> Iterator[Write]:
    request = ListWritesRequest(page_size=min(limit or PAGE_SIZE, PAGE_SIZE))
    for page in pages(client.access.ListWrites, request):
        yield from page.writes


def _caller_rows(caller: WhoAmIResponse) -> Iterator[tuple[str, str]]:
    yield "principal", printable(caller.principal) or "none: the server asks for no identity"
    yield "roles", ", ".join(enum_word(Role, role) for role in caller.roles) or NONE
    sources = [enum_word(DiscoverySource, source) for source in caller.discovery_sources]
    yield "may report", ", ".join(sources) or NONE


def _write_row(write: Write) -> tuple[str, ...]:
    return (
        f"{write.write_time.ToDatetime():%Y-%m-%d %H:%M:%S}",
        printable(write.principal) or NONE,
        printable(write.method.rpartition("/")[2]),
        _changes(write.counts),
    )


def _changes(counts: WriteCounts) -> str:
    """Say what a call changed: "2 services created, 1 dependency updated"."""
    said = []
    for field, number in counts.ListFields():
        things, what = field.name.split("_")
        thing = {"services": "service", "dependencies": "dependency", "alerts": "alert"}[things]
        said.append(f"{counted(number, thing, things)} {what}")
    return ", ".join(said) or "nothing"
