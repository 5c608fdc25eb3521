"""``depgraph search``: services by a piece of their name."""

from collections.abc import Iterator
from typing import Annotated

import typer

from depgraph.v1.graph_service_pb2 import (
    MATCH_KIND_SIMILAR,
    MatchKind,
    SearchMatch,
    SearchServicesRequest,
    SearchServicesResponse,
)
from depgraph.v1.types_pb2 import Criticality
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.filters import Kind, kind_numbers
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.text import counted, enum_word, fields_of, listing, print_json, print_lines, visible

HEADS = ("SERVICE", "MATCH", "CRITICALITY", "TEAM", "CALLED BY", "CALLS")


@asks_server(timeout=30.0)
def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="A piece of a name or of an alias, in any case.")
    ],
    *,
    team: Annotated[str, typer.Option(metavar="TEAM", help="Only services of this team.")] = "",
    kind: Annotated[
        Kind | None,
        typer.Option(
            metavar="KIND",
            help="Only services of this kind: service, database, queue, gateway or external.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Services listed.")] = 20,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Find services by a piece of their name.

    The best matches come first. Where no name holds the text, it lists names that are similar.
    """
    request = SearchServicesRequest(query=query, team=team, max_matches=top, consistency=consistency(as_of))
    if kind is not None:
        request.kind = kind_numbers([kind])[0]
    with connected(server, as_of=as_of) as client:
        answer = client.graph.SearchServices(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines([*heading, *_lines(answer, query)])


def _lines(answer: SearchServicesResponse, query: str) -> Iterator[str]:
    if not answer.matches:
        yield f"no service has a name like '{visible(query)}'"
        return
    if answer.matches[0].match_kind == MATCH_KIND_SIMILAR:
        yield f"no name holds '{visible(query)}'; similar:"
    yield from listing(HEADS, [_row(each) for each in answer.matches], len(answer.matches))
    if rest := answer.match_count - len(answer.matches):
        yield f"… and {counted(rest, 'more service')}: --top lists up to 100, a longer text finds fewer"


def _row(match: SearchMatch) -> tuple[str, ...]:
    service = match.service
    alias = f" (alias {visible(match.alias)})" if match.alias else ""
    return (
        visible(service.service_id),
        enum_word(MatchKind, match.match_kind) + alias,
        enum_word(Criticality, service.criticality),
        visible(service.team) or "-",
        f"{match.caller_count:,}",
        f"{match.callee_count:,}",
    )
