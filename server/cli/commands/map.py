"""``depgraph map``: teams or other groups of services, and the calls between them."""

from collections.abc import Iterator
from typing import Annotated

import typer

from depgraph.v1.graph_service_pb2 import GetMapRequest, GetMapResponse, MapNode
from depgraph.v1.types_pb2 import Criticality
from server.cli.asked import AskedServer, asks_server
from server.cli.commands.around import NONE, calls_label
from server.cli.connection import connected
from server.cli.filters import (
    Criticalities,
    ExcludedKinds,
    IncludeStale,
    MinConfidence,
    Modes,
    Sources,
    edge_filter,
)
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.text import counted, enum_word, fields_of, listing, print_json, print_lines, visible


@asks_server(timeout=30.0)
def draw_map(
    *,
    by: Annotated[
        str,
        typer.Option(metavar="KEY", help="Group by the text under this key of the metadata, not by team."),
    ] = "",
    inside: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Look into this group; '' = services that are in none."),
    ] = None,
    top: Annotated[
        int, typer.Option(min=2, max=300, metavar="N", help="Nodes; one stands for all others.")
    ] = 30,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    include_stale: IncludeStale = False,
    excluded_kinds: ExcludedKinds = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show the graph by team, calls counted.

    With --by, services are grouped by a text of their metadata, such as a namespace. With --inside,
    the services of one group are listed, and the groups that they call or are called from.
    """
    request = GetMapRequest(
        metadata_key=by,
        inside=inside,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence, excluded_kinds),
        max_nodes=top,
        consistency=consistency(as_of),
    )
    with connected(server, as_of=as_of) as client:
        answer = client.graph.GetMap(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines([*heading, *_lines(answer, inside, by or "team")])


def _lines(answer: GetMapResponse, inside: str | None, by: str) -> Iterator[str]:
    services = counted(answer.service_count, "service")
    if inside is None:
        yield f"{services} in {counted(answer.group_count, 'group')} by {visible(by)}"
    else:
        yield f"{_group(inside, by)}: {services}"
    if not answer.nodes:
        return
    names = [_name(node, by) for node in answer.nodes]
    rows = [
        (
            name,
            f"{node.service_count:,}",
            enum_word(Criticality, node.highest_criticality),
            calls_label(node.inner_calls) if node.HasField("inner_calls") else NONE,
        )
        for name, node in zip(names, answer.nodes, strict=True)
    ]
    yield ""
    yield from listing(("NODE", "SERVICES", "HIGHEST", "CALLS WITHIN"), rows, len(rows))
    order = sorted(
        answer.calls, key=lambda each: (-each.calls.pair_count, names[each.source], names[each.target])
    )
    calls = [(f"{names[each.source]} → {names[each.target]}", calls_label(each.calls)) for each in order]
    if calls:
        yield ""
        yield from listing(("CALLS", "COUNT"), calls, len(calls))


def _name(node: MapNode, by: str) -> str:
    match node.WhichOneof("node"):
        case "service":
            return visible(node.service.service_id)
        case "group":
            return _group(node.group, by)
        case "other_groups":
            return f"({counted(node.other_groups, 'other group')})"
        case _:
            return f"({node.others:,} others)"


def _group(name: str, by: str) -> str:
    return f"{visible(by)} {visible(name)}" if name else f"(no {visible(by)})"
