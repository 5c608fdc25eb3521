"""``depgraph impact``: the blast radius of a service, which the failure of the service reaches."""

from collections.abc import Iterator
from typing import Annotated

import typer

from depgraph import Client
from depgraph.v1.analysis_service_pb2 import (
    AnalyzeImpactRequest,
    AnalyzeImpactResponse,
    ImpactedService,
    ImpactSummary,
)
from depgraph.v1.types_pb2 import Criticality, DependencyCriticality
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.filters import (
    MAX_HOPS,
    Criticalities,
    Effective,
    ExcludedKinds,
    IncludeStale,
    MinConfidence,
    Modes,
    Sources,
    edge_filter,
)
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import path_label
from server.cli.render.text import (
    aligned,
    counted,
    enum_word,
    fields_of,
    listing,
    print_json,
    print_lines,
    printable,
    visible,
)

MAX_TEAMS = 10


@asks_server(timeout=60.0)
def impact(
    service: Annotated[
        str, typer.Argument(help="Business name of the service that fails.", metavar="SERVICE")
    ],
    *,
    max_hops: Annotated[
        int, typer.Option(min=0, max=MAX_HOPS, metavar="N", help="Hops upstream at most, 0 = all.")
    ] = 0,
    top: Annotated[
        int, typer.Option(min=0, help="Services listed, nearest first, 0 = all; --json has all.")
    ] = 50,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    excluded_kinds: ExcludedKinds = None,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show the services that a failure reaches.

    Those are the services that call it, directly or through others. WEAKEST is the weakest
    dependency on the strongest path: hard = the service fails too, unknown = no source knows
    whether it does, degraded = it goes on with less, soft = it goes on. PATH is a shortest path.
    """
    request = AnalyzeImpactRequest(
        service_id=service,
        max_hops=max_hops,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence, excluded_kinds),
        effective=effective,
        consistency=consistency(as_of),
    )
    with connected(server, as_of=as_of) as client:
        answer = _answer(client, request, 0 if as_json else top, server.timeout)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json({"service_id": service} | fields_of(answer))
    else:
        print_lines([*heading, *_lines(service, answer, top)])


def _answer(
    client: Client, request: AnalyzeImpactRequest, limit: int, timeout: float
) -> AnalyzeImpactResponse:
    """Join the parts with the first ``limit`` services (0 = all), and cancel the rest."""
    whole = AnalyzeImpactResponse()
    parts = client.analyses.AnalyzeImpact(request, timeout=timeout)
    for part in parts:
        whole.MergeFrom(part)
        if 0 < limit <= len(whole.services):
            parts.cancel()
            break
    return whole


def _lines(service: str, answer: AnalyzeImpactResponse, top: int) -> Iterator[str]:
    summary = answer.summary
    if not summary.service_count:
        yield f"{visible(service)}: no other service is reached"
        return
    hops = counted(summary.max_hops, "hop")
    maybe = (
        f", {summary.maybe_sync_count:,} more if those of unknown mode are synchronous"
        if summary.maybe_sync_count
        else ""
    )
    yield (
        f"{visible(service)}: {counted(summary.service_count, 'service')} reached, at most {hops} away, "
        f"{summary.sync_count:,} by synchronous calls alone{maybe}"
    )
    yield from aligned(_counts(summary), indent="  ")
    yield ""
    heads = ("HOPS", "SERVICE", "WEAKEST", "CRITICALITY", "TEAM", "PATH")
    yield from listing(heads, [_row(each) for each in answer.services[: top or None]], summary.service_count)


def _row(found: ImpactedService) -> tuple[str, ...]:
    return (
        f"{found.hops:,}",
        visible(found.service_id),
        enum_word(DependencyCriticality, found.weakest_criticality),
        enum_word(Criticality, found.criticality),
        printable(found.team) or "-",
        path_label(found.path),
    )


def _counts(summary: ImpactSummary) -> list[tuple[str, str]]:
    weakest = [
        f"{each.service_count:,} {enum_word(DependencyCriticality, each.weakest_criticality)}"
        for each in summary.weakest_criticalities
    ]
    criticalities = [
        f"{each.service_count:,} {enum_word(Criticality, each.criticality)}" for each in summary.criticalities
    ]
    teams = [
        f"{each.service_count:,} {printable(each.team) if each.HasField('team') else 'of no team'}"
        for each in summary.teams[:MAX_TEAMS]
    ]
    if summary.team_count > len(teams):
        teams.append(f"{summary.team_count - len(teams):,} more teams")
    return [
        ("weakest", ", ".join(weakest)),
        ("criticality", ", ".join(criticalities)),
        ("team", ", ".join(teams)),
    ]
