"""``depgraph cuts``: which dependencies to do without, so that no cycle is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depgraph.v1.analysis_service_pb2 import Cut, SuggestCutsResponse

CALL_SECONDS = 30.0


def cuts(
    service: Annotated[str, typer.Argument(help="Business name of any member.", metavar="SERVICE")],
    *,
    sync_only: Annotated[
        bool,
        typer.Option(
            "--sync-only",
            help="Break cycles of synchronous calls only; a cut may be made by turning a call asynchronous, too.",
        ),
    ] = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """Suggest dependencies without which the component of a service has no cycle, cheapest first; exit code 0 also when it has none."""
    from depgraph.v1.analysis_service_pb2 import SuggestCutsRequest
    from server.cli.connection import connected
    from server.cli.unknown import suggesting_names

    request = SuggestCutsRequest(service_id=service, sync_only=sync_only)
    with connected(address, timeout=CALL_SECONDS) as client, suggesting_names(client):
        answer = client.analyses.SuggestCuts(request)
    if as_json:
        _print_json(service, sync_only, answer)
    else:
        typer.echo("\n".join(_lines(service, sync_only, answer)))


def _lines(service: str, sync_only: bool, answer: SuggestCutsResponse) -> Iterator[str]:  # noqa: FBT001 - as the option is
    from server.cli.render.columns import aligned
    from server.cli.render.text import counted, visible

    calls = "synchronous calls" if sync_only else "dependencies"
    if not answer.cuts:
        yield f"{visible(service)} is on no cycle of {calls}"
        return
    component = answer.component
    yield (
        f"{visible(service)} is one of {counted(component.size, 'service')} that reach each other "
        f"by {component.edge_count:,} {calls}"
    )
    best = "the least there is" if answer.is_optimal else "cheaper ones may exist"
    how = "removed, or made asynchronous" if sync_only else "removed"
    yield (
        f"{counted(len(answer.cuts), 'cut')} to break all cycles, {how}, for {answer.total_cost:.2f} in all ({best})"
    )
    yield ""
    yield from aligned([("COST", "CUT", "DEPENDENCIES", "CYCLE"), *map(_row, answer.cuts)])


def _row(cut: Cut) -> tuple[str, ...]:
    from server.cli.commands.impact_lines import path_line
    from server.cli.render.labels import label
    from server.cli.render.text import visible

    return (
        f"{cut.cost:.2f}",
        f"{visible(cut.source_service_id)} → {visible(cut.target_service_id)}",
        label(cut.dependencies),
        path_line([*cut.cycle_path, *cut.cycle_path[:1]]) or "-",
    )


def _print_json(service: str, sync_only: bool, answer: SuggestCutsResponse) -> None:  # noqa: FBT001 - as the option is
    from server.cli.render.messages import fields_of

    asked = {"service_id": service, "sync_only": sync_only}
    found = fields_of(answer)
    typer.echo(json.dumps(asked | found, indent=2, ensure_ascii=False))
