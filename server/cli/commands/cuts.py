"""``depgraph cuts``: which dependencies to remove so that a component has no cycle."""

from collections.abc import Iterator
from typing import Annotated

import typer

from depgraph.v1.analysis_service_pb2 import Cut, SuggestCutsRequest, SuggestCutsResponse
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import call_label, dependency_label, path_label
from server.cli.render.text import counted, fields_of, listing, print_json, print_lines, visible


@asks_server(timeout=30.0)
def cuts(
    service: Annotated[
        str, typer.Argument(help="Business name of any service of the component.", metavar="SERVICE")
    ],
    *,
    sync_only: Annotated[
        bool,
        typer.Option(
            "--sync-only",
            help="Break cycles of calls only that are synchronous or of unknown mode; making a call "
            "asynchronous cuts it, too.",
        ),
    ] = False,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Cuts listed, 0 = all; --json has all.")] = 50,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Suggest cuts that break every cycle.

    A cut is a dependency to remove. The cycles are those of the component of SERVICE; the
    suggestion is the cheapest that was found.
    """
    request = SuggestCutsRequest(service_id=service, sync_only=sync_only, consistency=consistency(as_of))
    with connected(server, as_of=as_of) as client:
        answer = client.analyses.SuggestCuts(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json({"service_id": service, "sync_only": sync_only} | fields_of(answer))
    else:
        print_lines([*heading, *_lines(service, answer, top, sync_only=sync_only)])


def _lines(service: str, answer: SuggestCutsResponse, top: int, *, sync_only: bool) -> Iterator[str]:
    calls = "calls that are synchronous or of unknown mode" if sync_only else "dependencies"
    if not answer.cuts:
        yield f"{visible(service)} is on no cycle of {calls}"
        return
    component = answer.component
    yield (
        f"{visible(service)} is one of {counted(component.size, 'service')} that reach each other "
        f"by {component.edge_count:,} {calls}."
    )
    how = "Remove or make asynchronous" if sync_only else "Remove"
    what = "this dependency" if len(answer.cuts) == 1 else f"these {len(answer.cuts):,} dependencies"
    cost = "proven minimum" if answer.is_optimal else "cheaper cuts may exist"
    yield f"{how} {what} to break every cycle. Total cost {answer.total_cost:.2f} ({cost})."
    yield "A hard, synchronous, declared call costs 1; asynchronous, softer and less certain ones cost less."
    yield ""
    rows = [_row(cut) for cut in answer.cuts[: top or None]]
    yield from listing(("COST", "CUT", "DEPENDENCIES", "CYCLE"), rows, len(answer.cuts))


def _row(cut: Cut) -> tuple[str, ...]:
    return (
        f"{cut.cost:.2f}",
        call_label(cut.source_service_id, cut.target_service_id),
        dependency_label(cut.dependencies),
        path_label([*cut.cycle_path, *cut.cycle_path[:1]]) or "-",
    )
