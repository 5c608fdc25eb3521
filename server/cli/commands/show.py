"""``depgraph show``: what a service calls and who calls it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.settings import DEFAULTS, Address

if TYPE_CHECKING:
    from depgraph.v1.graph_service_pb2 import TraverseResponse
    from server.cli.render.labels import Drawn
    from server.cli.render.neighbourhood import Neighbourhood

CALL_SECONDS = 10.0

Towards = Literal["both", "downstream", "upstream"]
Form = Literal["tree", "mermaid", "dot", "json"]


def show(
    service: Annotated[str, typer.Argument(help="Business name of the service.", metavar="SERVICE")],
    *,
    depth: Annotated[int, typer.Option(min=1, max=10, help="Hops from the service.")] = 2,
    direction: Annotated[
        Towards, typer.Option(help="What it calls (downstream), who calls it (upstream), or both.")
    ] = "both",
    form: Annotated[Form, typer.Option("--format", help="How to show it.")] = "tree",
    most: Annotated[
        int, typer.Option("--max", min=0, help="Neighbours shown for each service, 0 = all; json has all.")
    ] = 25,
    include_stale: Annotated[
        bool, typer.Option("--include-stale", help="Dependencies not observed lately, too.")
    ] = False,
    effective: Annotated[
        bool,
        typer.Option(
            "--effective", help="One dependency for each pair of services: what all sources say together."
        ),
    ] = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """Show what a service calls and who calls it."""
    from depgraph.v1.graph_service_pb2 import Direction, StreamTraverseRequest
    from server.cli.commands.walks import walk
    from server.cli.connection import connected

    request = StreamTraverseRequest(
        service_id=service,
        direction=Direction.Value(f"DIRECTION_{direction.upper()}"),
        max_depth=depth,
        include_stale=include_stale,
        effective=effective,
    )
    with connected(address, timeout=CALL_SECONDS) as client:
        answer = walk(client, request)
    if form == "json":
        _print_json(service, direction, depth, answer)
    else:
        _print_drawing(form, _around(service, direction, depth, most, answer))


def _around(start: str, direction: Towards, depth: int, fan: int, answer: TraverseResponse) -> Neighbourhood:
    from server.cli.render.neighbourhood import Neighbourhood, downstream, upstream

    found: list[Drawn] = [*answer.dependencies, *answer.effective_dependencies]
    return Neighbourhood(
        start=start,
        calls=None if direction == "upstream" else downstream(start, found, depth=depth, fan=fan),
        called_by=None if direction == "downstream" else upstream(start, found, depth=depth, fan=fan),
    )


def _print_drawing(form: Literal["tree", "mermaid", "dot"], around: Neighbourhood) -> None:
    if form == "tree":
        from rich.console import Console

        from server.cli.render.trees import tree_lines

        console = Console(highlight=False)
        for line in tree_lines(around):
            console.print(line, soft_wrap=True)
        return
    from server.cli.render.dot import dot_lines
    from server.cli.render.mermaid import mermaid_lines

    lines = mermaid_lines(around) if form == "mermaid" else dot_lines(around)
    typer.echo("\n".join(lines))


def _print_json(service: str, direction: Towards, depth: int, answer: TraverseResponse) -> None:
    from server.cli.render.messages import fields_of

    asked = {"service_id": service, "direction": direction, "max_depth": depth}
    found = fields_of(answer)
    typer.echo(json.dumps(asked | found, indent=2, ensure_ascii=False))
