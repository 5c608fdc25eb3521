"""``depgraph services`` and ``depgraph components``: what there is, before a name is known."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import typer

from depgraph import Client
from depgraph.v1.catalog_service_pb2 import ListServicesRequest
from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    DIRECTION_UPSTREAM,
    TRAVERSAL_VIEW_IDS,
    Component,
    ListComponentsRequest,
    TraverseRequest,
)
from depgraph.v1.types_pb2 import SERVICE_KIND_UNSPECIFIED, Criticality, Service, ServiceKind
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages, walk_all
from server.cli.filters import Kind, kind_numbers
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import some_names
from server.cli.render.text import (
    counted,
    enum_word,
    fields_of,
    listing,
    print_json,
    print_lines,
    printable,
    visible,
)

PAGE_SIZE = 1_000
MAX_MEMBERS = 6

KINDS = "Only services of this kind: service, database, queue, gateway or external."
CriticalityChoice = Literal["critical", "high", "medium", "low", "unknown"]
Top = Annotated[int, typer.Option(min=0, metavar="N", help="Rows listed, 0 = all; --json has all.")]


@asks_server(timeout=30.0)
def services(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Only names that hold this text, in any case.")
    ] = "",
    *,
    team: Annotated[str | None, typer.Option(metavar="TEAM", help="Only services of this team.")] = None,
    criticality: Annotated[
        CriticalityChoice | None, typer.Option(help="Only services of this criticality.")
    ] = None,
    kind: Annotated[Kind | None, typer.Option(metavar="KIND", help=KINDS)] = None,
    top: Top = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    List or search services.

    The most critical come first. CALLS counts the services that a service calls directly, CALLED BY
    those that call it.
    """
    request = ListServicesRequest(
        page_size=PAGE_SIZE,
        query=pattern,
        team=team,
        criticality=Criticality.Value(f"CRITICALITY_{(criticality or 'unspecified').upper()}"),
        kind=SERVICE_KIND_UNSPECIFIED if kind is None else kind_numbers([kind])[0],
    )
    with connected(server) as client:
        found = [row for page in pages(client.catalog.ListServices, request) for row in page.services]
        found.sort(key=lambda row: (row.criticality, row.service_id))
        names = [row.service_id for row in (found if as_json else found[: top or None])]
        callees, callers = _degrees(client, names, server.timeout)
    if as_json:
        degrees = [(callees[row.service_id], callers[row.service_id]) for row in found]
        rows = [
            fields_of(row) | {"callee_count": callee_count, "caller_count": caller_count}
            for row, (callee_count, caller_count) in zip(found, degrees, strict=True)
        ]
        print_json({"services": rows})
    elif found:
        print_lines(_service_lines(found, top, callees, callers))
    else:
        typer.echo("no services" if not (pattern or team or criticality or kind) else "no such services")


@asks_server(timeout=30.0)
def components(
    *,
    min_size: Annotated[int, typer.Option(min=1, metavar="N", help="Leave out smaller components.")] = 2,
    top: Top = 50,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    List cyclic components, largest first.

    The services of a component all reach each other. 'depgraph cuts SERVICE' says how to break its
    cycles.
    """
    request = ListComponentsRequest(min_size=min_size, page_size=PAGE_SIZE, consistency=consistency(as_of))
    found: list[Component] = []
    with connected(server, as_of=as_of) as client:
        for page in pages(client.graph.ListComponents, request):
            found.extend(page.components)
            if 0 < top <= len(found) and not as_json:
                break
    heading = dated(as_of, page.freshness)
    if as_json:
        components = [fields_of(each) for each in found]
        freshness = fields_of(page.freshness)
        print_json({"components": components, "total_count": page.total_count, "freshness": freshness})
    elif found:
        rows = [_component_row(each) for each in found[: top or None]]
        print_lines([*heading, *listing(("SIZE", "DEPENDENCIES", "MEMBERS"), rows, page.total_count)])
    else:
        print_lines([*heading, f"no component of {counted(min_size, 'service')} or more"])


def _degrees(client: Client, names: Sequence[str], timeout: float) -> tuple[Counter[str], Counter[str]]:
    """
    Count the callees and the callers of the named services, those not in memory yet as 0.

    O(their dependencies). Cheaper than the adjacency list even for all services of a graph.
    """
    callees, callers = (
        [
            TraverseRequest(service_id=name, direction=way, max_depth=1, view=TRAVERSAL_VIEW_IDS)
            for name in names
        ]
        for way in (DIRECTION_DOWNSTREAM, DIRECTION_UPSTREAM)
    )
    answers = walk_all(client, callees + callers, timeout, skip_unknown=True)
    counts = [len(answer.service_ids) for answer in answers]
    return (
        Counter(dict(zip(names, counts[: len(names)], strict=True))),
        Counter(dict(zip(names, counts[len(names) :], strict=True))),
    )


def _service_lines(
    found: Sequence[Service], top: int, callees: Counter[str], callers: Counter[str]
) -> Iterator[str]:
    rows = [
        (
            visible(row.service_id),
            enum_word(ServiceKind, row.kind),
            enum_word(Criticality, row.criticality),
            printable(row.team) or "-",
            f"{callees[row.service_id]:,}",
            f"{callers[row.service_id]:,}",
        )
        for row in found[: top or None]
    ]
    return listing(("SERVICE", "KIND", "CRITICALITY", "TEAM", "CALLS", "CALLED BY"), rows, len(found))


def _component_row(component: Component) -> tuple[str, ...]:
    names = some_names(component.members, component.size, MAX_MEMBERS)
    return f"{component.size:,}", f"{component.edge_count:,}", names
