"""``depgraph drift``: what is declared and never observed, and what is observed and never declared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.filters import FOUND, ExitCode
from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depgraph import Client
    from depgraph.v1.analysis_service_pb2 import Drift, ListDriftRequest, ListDriftResponse

CALL_SECONDS = 30.0
PAGE_SIZE = 1_000

Kind = Literal["both", "not-observed", "not-declared"]


def drift(
    service: Annotated[
        str, typer.Argument(help="Only what this service calls or is called by.", metavar="SERVICE")
    ] = "",
    *,
    kind: Annotated[
        Kind, typer.Option(help="Declared and not observed, or observed and not declared.")
    ] = "both",
    ignore_stale: Annotated[
        bool,
        typer.Option(
            "--ignore-stale", help="Take stale dependencies for none: no longer observed is drift, too."
        ),
    ] = False,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Pairs listed, 0 = all; json has all.")] = 50,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Show calls of which only one side tells, by the names of caller and callee.

    People and Kubernetes manifests declare, traces and service meshes observe.
    """
    from depgraph.v1.analysis_service_pb2 import DriftKind, ListDriftRequest
    from server.cli.connection import connected
    from server.cli.unknown import suggesting_names

    wanted = "UNSPECIFIED" if kind == "both" else kind.upper().replace("-", "_")
    request = ListDriftRequest(
        kind=DriftKind.Value(f"DRIFT_KIND_{wanted}"), service_id=service, ignore_stale=ignore_stale
    )
    with connected(address, timeout=CALL_SECONDS) as client, suggesting_names(client):
        answer = _listed(client, request, 0 if as_json else top)
    if as_json:
        _print_json(answer)
    else:
        typer.echo("\n".join(_lines(answer)))
    if exit_code and answer.total_count:
        raise typer.Exit(FOUND)


def _listed(client: Client, request: ListDriftRequest, most: int) -> ListDriftResponse:
    """Ask for page after page, up to so many pairs (0 = all)."""
    from depgraph.v1.analysis_service_pb2 import ListDriftResponse

    whole = ListDriftResponse()
    while True:
        left = most - len(whole.drifts) if most else PAGE_SIZE
        request.page_size = min(left, PAGE_SIZE)
        page = client.analyses.ListDrift(request)
        whole.drifts.extend(page.drifts)
        whole.total_count = page.total_count
        whole.freshness.CopyFrom(page.freshness)
        request.page_token = page.next_page_token
        if not page.next_page_token or len(whole.drifts) == most:
            return whole


def _lines(answer: ListDriftResponse) -> Iterator[str]:
    from server.cli.render.columns import aligned
    from server.cli.render.text import counted

    if not answer.total_count:
        yield "no drift"
        return
    yield f"{counted(answer.total_count, 'call')} of which only one side tells"
    yield from aligned([("CALL", "DRIFT", "SINCE", "KNOWN AS"), *map(_row, answer.drifts)])
    rest = answer.total_count - len(answer.drifts)
    if rest > 0:
        yield f"… and {rest:,} more (--top 0 lists all)"


def _row(found: Drift) -> tuple[str, ...]:
    from depgraph.v1.analysis_service_pb2 import DriftKind
    from server.cli.render.labels import label
    from server.cli.render.text import visible

    return (
        f"{visible(found.source_service_id)} → {visible(found.target_service_id)}",
        DriftKind.Name(found.kind).removeprefix("DRIFT_KIND_").lower().replace("_", " "),
        f"{found.since_time.ToDatetime():%Y-%m-%d %H:%M}",
        label(found.dependencies),
    )


def _print_json(answer: ListDriftResponse) -> None:
    from server.cli.render.messages import fields_of

    found = fields_of(answer)
    del found["next_page_token"]
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
