"""``depgraph impact``: what the failure of a service reaches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.filters import (
    MOST_HOPS,
    Criticalities,
    Effective,
    IncludeStale,
    MinConfidence,
    Modes,
    Sources,
    edge_filter,
)
from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from depgraph import Client
    from depgraph.v1.analysis_service_pb2 import AnalyzeImpactRequest, AnalyzeImpactResponse

IMPACT_SECONDS = 60.0


def impact(
    service: Annotated[
        str, typer.Argument(help="Business name of the service that fails.", metavar="SERVICE")
    ],
    *,
    max_hops: Annotated[
        int, typer.Option(min=0, max=MOST_HOPS, metavar="N", help="Hops upstream at most, 0 = all.")
    ] = 0,
    top: Annotated[
        int, typer.Option(min=0, help="Services listed, nearest first, 0 = all; json has all.")
    ] = 50,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Show which services a failure reaches: those that call the service, directly or through others.

    WEAKEST is the weakest dependency on the best way there: hard = the service fails too, degraded = it goes on with less, soft = it goes on.
    PATH is a shortest way.
    """
    from depgraph.v1.analysis_service_pb2 import AnalyzeImpactRequest
    from server.cli.connection import connected

    request = AnalyzeImpactRequest(
        service_id=service,
        max_hops=max_hops,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence),
        effective=effective,
    )
    with connected(address, timeout=IMPACT_SECONDS) as client:
        answer = _answer(client, request, 0 if as_json else top)
    _print(service, answer, top, as_json=as_json)


def _answer(client: Client, request: AnalyzeImpactRequest, enough: int) -> AnalyzeImpactResponse:
    """Put the parts together that hold the first ``enough`` services, 0 = all; the server does not write the others."""
    from depgraph.v1.analysis_service_pb2 import AnalyzeImpactResponse
    from server.cli.unknown import suggesting_names

    whole = AnalyzeImpactResponse()
    with suggesting_names(client):
        parts = client.analyses.AnalyzeImpact(request, timeout=IMPACT_SECONDS)
        for part in parts:
            whole.MergeFrom(part)
            if 0 < enough <= len(whole.services):
                parts.cancel()
                break
    return whole


def _print(service: str, answer: AnalyzeImpactResponse, top: int, *, as_json: bool) -> None:
    from server.cli.commands.impact_lines import impact_lines
    from server.cli.render.messages import fields_of

    if as_json:
        found = fields_of(answer)
        typer.echo(json.dumps({"service_id": service} | found, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(impact_lines(service, answer, top)))
