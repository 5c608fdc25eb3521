"""``depgraph export``: the whole graph, or what is around a service, for other programs."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Literal

import typer

from depgraph.v1.graph_service_pb2 import TraverseRequest
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.filters import IncludeStale
from server.cli.render.diagrams import Diagram, dot_lines, mermaid_lines
from server.cli.render.tables import csv_lines, graphml_lines
from server.cli.render.text import print_lines
from server.cli.rows import direction_value, graph_around, whole_graph
from server.formats.exported import GraphRows, exported_lines

MERMAID_EDGES = 500
"""More than Mermaid draws unless it is configured to."""

LINES_AT_ONCE = 1_000

Form = Literal["json", "csv", "graphml", "dot", "mermaid"]


@asks_server(timeout=120.0)
def export(
    form: Annotated[Form, typer.Argument(metavar="FORMAT", help="json, csv, graphml, dot or mermaid.")],
    service: Annotated[
        str,
        typer.Argument(metavar="[SERVICE]", help="Only what is around this service. Default: everything."),
    ] = "",
    *,
    depth: Annotated[int, typer.Option(min=1, max=10, help="Hops from SERVICE.")] = 2,
    direction: Annotated[
        Literal["both", "downstream", "upstream"], typer.Option(help="Where to go from SERVICE.")
    ] = "both",
    table: Annotated[
        Literal["dependencies", "services"], typer.Option(help="The table that csv writes.")
    ] = "dependencies",
    include_stale: IncludeStale = False,
    server: AskedServer,
) -> None:
    """
    Export the graph to standard output.

    'depgraph import json' makes the same services, dependencies and aliases of json, under new ids;
    stale ones are in it with --include-stale. A backup is more: 'depgraph backup'.
    """
    with connected(server) as client:
        if service:
            way = direction_value(direction)
            request = TraverseRequest(
                service_id=service, direction=way, max_depth=depth, include_stale=include_stale
            )
            rows = graph_around(client, request, server.timeout)
        else:
            rows = whole_graph(client, include_stale=include_stale)
    # Programs read these lines: none may be broken, wherever the output goes.
    lines = _lines(form, rows, table, service)
    while part := list(islice(lines, LINES_AT_ONCE)):
        typer.echo("\n".join(part))
    pairs = {(each.source_service_id, each.target_service_id) for each in rows.dependencies}
    if form == "mermaid" and len(pairs) > MERMAID_EDGES:
        hint = f"set maxEdges to {len(pairs)}, or export what is around a service"
        print_lines([f"warning: Mermaid draws {MERMAID_EDGES} arrows by default: {hint}"], err=True)


def _lines(form: Form, rows: GraphRows, table: str, start: str) -> Iterator[str]:
    if form == "json":
        return exported_lines(rows)
    if form == "csv":
        return csv_lines(rows, table)
    if form == "graphml":
        return graphml_lines(rows)
    diagram = Diagram.of_rows([row.service_id for row in rows.services], rows.dependencies, start)
    return dot_lines(diagram) if form == "dot" else mermaid_lines(diagram)
