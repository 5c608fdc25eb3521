"""``depgraph show``: what a service calls and who calls it."""

from typing import Annotated, Literal

import typer
from rich.console import Console

from depgraph import Client
from depgraph.v1.graph_service_pb2 import Direction, StreamTraverseRequest, TraverseResponse
from server.cli.connection import connected
from server.cli.filters import Effective, IncludeStale
from server.cli.options import DEFAULTS, Address
from server.cli.render.diagrams import dot_lines, mermaid_lines
from server.cli.render.labels import AnyDependency
from server.cli.render.neighbourhood import Neighbourhood, downstream, tree_lines, upstream
from server.cli.render.text import fields_of, print_json, print_lines

CALL_SECONDS = 10.0
WALK_SECONDS = 60.0

DirectionChoice = Literal["both", "downstream", "upstream"]
Form = Literal["tree", "mermaid", "dot", "json"]


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
    address: Address = DEFAULTS.listen,
) -> None:
    """Show what a service calls and who calls it."""
    request = StreamTraverseRequest(
        service_id=service,
        direction=Direction.Value(f"DIRECTION_{direction.upper()}"),
        max_depth=depth,
        include_stale=include_stale,
        effective=effective,
    )
    with connected(address, timeout=CALL_SECONDS) as client:
        answer = _walk(client, request)
    if form == "json":
        asked = {"service_id": service, "direction": direction, "max_depth": depth}
        print_json(asked | fields_of(answer))
        return
    found: list[AnyDependency] = [*answer.dependencies, *answer.effective_dependencies]
    around = Neighbourhood(
        start=service,
        calls=None if direction == "upstream" else downstream(service, found, depth=depth, fan=fan),
        called_by=None if direction == "downstream" else upstream(service, found, depth=depth, fan=fan),
    )
    _print(form, around)


def _walk(client: Client, request: StreamTraverseRequest) -> TraverseResponse:
    """Join the parts of a streamed walk."""
    whole = TraverseResponse()
    for part in client.graph.StreamTraverse(request, timeout=WALK_SECONDS):
        # The contract: the parts' fields, appended in order, are those of the unary answer.
        whole.MergeFromString(part.SerializeToString())
    return whole


def _print(form: Literal["tree", "mermaid", "dot"], around: Neighbourhood) -> None:
    if form == "tree":
        console = Console(highlight=False)
        for line in tree_lines(around):
            console.print(line, soft_wrap=True)
    else:
        print_lines(mermaid_lines(around) if form == "mermaid" else dot_lines(around))
