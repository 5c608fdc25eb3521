"""``depgraph show``: a service, what it calls and who calls it."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import grpc
import typer
from google.protobuf.json_format import MessageToDict

from depgraph import Client
from depgraph.v1.catalog_service_pb2 import GetServiceRequest, ListAliasesRequest
from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    TRAVERSAL_VIEW_IDS,
    GetNeighbourhoodRequest,
    TraverseRequest,
    TraverseResponse,
)
from depgraph.v1.types_pb2 import Consistency, Service
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages, walk, walk_all
from server.cli.filters import Effective, IncludeStale
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.diagrams import Diagram, dot_lines, mermaid_lines
from server.cli.render.labels import service_label, some_names
from server.cli.render.neighbourhood import Branch, Neighbourhood, explore, print_tree
from server.cli.render.text import fields_of, print_json, print_lines, visible
from server.cli.rows import direction_value

CATALOG_SECONDS = 2.0
PAGE_SIZE, MAX_ALIASES = 1_000, 10

DirectionChoice = Literal["both", "downstream", "upstream"]
Form = Literal["tree", "mermaid", "dot", "json"]
COMMENT = {"mermaid": "%% ", "dot": "// "}


@asks_server(timeout=60.0)
def show(
    service: Annotated[str, typer.Argument(help="Business name of the service.", metavar="SERVICE")],
    *,
    depth: Annotated[int, typer.Option(min=1, max=10, help="Hops from the service.")] = 2,
    direction: Annotated[
        DirectionChoice, typer.Option(help="What it calls (downstream), who calls it (upstream), or both.")
    ] = "both",
    form: Annotated[Form, typer.Option("--format", help="Format of the output.")] = "tree",
    fan: Annotated[
        int, typer.Option("--max", min=0, help="Neighbours shown for each service, 0 = all; json has all.")
    ] = 25,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show a service, its callees and callers.

    The most important neighbours come first: critical services, then hard and synchronous
    dependencies. An alias shows the service that it stands for.
    """
    with connected(server, as_of=as_of) as client:
        first = _first_look(client, service, as_of, server.timeout)
        own = first.resolved_aliases[0].service_id if first.resolved_aliases else service
        heading = dated(as_of, first.freshness)
        # All calls below ask for the very state that the first one found.
        past = Consistency(as_of=first.freshness.as_of_time) if as_of else None
        ask = partial(
            TraverseRequest,
            service_id=own,
            max_depth=depth,
            include_stale=include_stale,
            effective=effective,
            consistency=past,
        )
        if as_json or form == "json":
            request = ask(service_id=service, direction=direction_value(direction))
            answer = walk(client, request, server.timeout)
            row, aliases = _row(client, own, past), None if past else _aliases(client, own)
            asked = {"service_id": own, "direction": direction, "max_depth": depth, "aliases": aliases}
            print_json(asked | {"service": None if row is None else fields_of(row)} | fields_of(answer))
            return
        both: Sequence[DirectionChoice] = ("downstream", "upstream")
        ways = both if direction == "both" else (direction,)
        branches = {
            way: _branch(client, partial(ask, direction=direction_value(way)), fan, server.timeout)
            for way in ways
        }
        around = Neighbourhood(own, branches.get("downstream"), branches.get("upstream"))
        if form == "tree":
            named = _named(service, own, [] if past else _aliases(client, own))
            about = [*_about(_row(client, own, past)), *named]
            print_lines(heading)
            print_tree(around, about)
        else:
            # A program reads these lines, even those copied from a terminal: none may be broken.
            diagram = Diagram.around(around)
            drawn = mermaid_lines(diagram) if form == "mermaid" else dot_lines(diagram)
            typer.echo("\n".join([*(COMMENT[form] + line for line in heading), *drawn]))


def _first_look(client: Client, service: str, as_of: datetime | None, timeout: float) -> TraverseResponse:
    """Ask for the own name of a service that may be named by an alias, and for the state."""
    request = TraverseRequest(
        service_id=service,
        direction=DIRECTION_DOWNSTREAM,
        max_depth=1,
        max_services=1,
        view=TRAVERSAL_VIEW_IDS,
        consistency=consistency(as_of),
    )
    return client.graph.Traverse(request, timeout=timeout)


def _branch(client: Client, ask: Callable[..., TraverseRequest], fan: int, timeout: float) -> Branch:
    """Walk in one direction: names only to count all, whole rows of what is drawn."""
    far = ask(view=TRAVERSAL_VIEW_IDS)

    def fetch(names: Sequence[str]) -> Sequence[TraverseResponse]:
        return walk_all(client, [ask(service_id=name, max_depth=1) for name in names], timeout)

    reach = len(walk(client, far, timeout).service_ids)
    return explore(far.service_id, fetch, depth=far.max_depth, fan=fan, reach=reach)


def _row(client: Client, service: str, past: Consistency | None) -> Service | None:
    """Read the service's row from the database, None while that is away; or the one of the past."""
    if past is not None:
        nearest = GetNeighbourhoodRequest(service_id=service, max_depth=1, max_services=1, consistency=past)
        return client.graph.GetNeighbourhood(nearest).center
    try:
        return client.catalog.GetService(
            GetServiceRequest(service_id=service), timeout=CATALOG_SECONDS
        ).service
    except grpc.RpcError:
        return None


def _aliases(client: Client, service: str) -> list[str]:
    """Read the service's aliases from the database; empty while that is away."""
    ask = partial(client.catalog.ListAliases, timeout=CATALOG_SECONDS)
    try:
        found = pages(ask, ListAliasesRequest(service_id=service, page_size=PAGE_SIZE))
        return [each.alias for page in found for each in page.aliases]
    except grpc.RpcError:
        return []


def _named(asked: str, own: str, aliases: Sequence[str]) -> Iterator[str]:
    if asked != own:
        yield f"(asked for by the alias {visible(asked)})"
    if aliases:
        yield f"aliases: {some_names(aliases, len(aliases), MAX_ALIASES)}"


def _about(row: Service | None) -> Iterator[str]:
    if row is None:
        yield "(criticality and team are not known while the database is away)"
        return
    yield service_label(row)
    for name, value in sorted(MessageToDict(row.metadata).items()):
        yield f"{visible(name)}: {visible(value if isinstance(value, str) else json.dumps(value))}"
