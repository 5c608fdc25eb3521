"""``depgraph around``: the services around one, the foremost singly, all others in groups."""

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    DIRECTION_UPSTREAM,
    CallEnd,
    CountedCalls,
    Direction,
    GetNeighbourhoodRequest,
    GetNeighbourhoodResponse,
    GroupSelector,
    NeighbourGroup,
)
from depgraph.v1.types_pb2 import Criticality
from server.cli.asked import AskedServer, asks_server
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
from server.cli.render.labels import call_label, dependency_label, service_label
from server.cli.render.text import counted, enum_word, fields_of, listing, print_json, print_lines, visible
from server.cli.rows import direction_value

DirectionChoice = Literal["both", "downstream", "upstream"]
NONE = "-"
HEADS = ("SIDE", "HOPS", "SERVICE", "CRITICALITY", "TEAM")


@asks_server(timeout=30.0)
def around(
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="The service in the middle. Default: the most critical and most called."
        ),
    ] = "",
    *,
    hops: Annotated[int, typer.Option(min=1, max=10, help="Hops from the service.")] = 1,
    direction: Annotated[
        DirectionChoice, typer.Option(help="What it calls (downstream), who calls it (upstream), or both.")
    ] = "both",
    top: Annotated[
        int, typer.Option(min=1, max=1_000, metavar="N", help="Services listed singly; others are in groups.")
    ] = 20,
    teams: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Teams with a group of their own at each depth.")
    ] = 5,
    opened: Annotated[
        list[str] | None,
        typer.Option("--open", metavar="TEAM", help="List services of this team first; repeatable."),
    ] = None,
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
    Show what is around a service.

    Nearer services come first, then more critical ones, then those with more callers. Others are
    counted by team, and so are the calls between groups: even a service with thousands of callers
    takes one screen.
    """
    request = GetNeighbourhoodRequest(
        service_id=service,
        direction=direction_value(direction),
        max_depth=hops,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence, excluded_kinds),
        max_services=top,
        consistency=consistency(as_of),
        max_teams=teams,
        opened_groups=[
            GroupSelector(direction=side, depth=depth, team=team)
            for team in opened or ()
            for side in (DIRECTION_UPSTREAM, DIRECTION_DOWNSTREAM)
            for depth in range(1, hops + 1)
        ],
    )
    with connected(server, as_of=as_of) as client:
        answer = client.graph.GetNeighbourhood(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines([*heading, *_lines(answer, hops)])


def calls_label(calls: CountedCalls) -> str:
    """Count calls by mode: ``3 calls: 2 sync, 1 async``."""
    modes = {"sync": calls.sync_count, "async": calls.async_count, "of unknown mode": calls.unknown_count}
    parts = [f"{count:,} {mode}" for mode, count in modes.items() if count]
    if calls.stale_count:
        parts.append(f"{calls.stale_count:,} stale")
    return f"{counted(calls.pair_count, 'call')}: {', '.join(parts)}"


def _lines(answer: GetNeighbourhoodResponse, hops: int) -> Iterator[str]:
    center = answer.center
    yield f"{visible(center.service_id)}: {service_label(center)}"
    upstream = counted(answer.upstream_count, "service")
    downstream = counted(answer.downstream_count, "service")
    yield f"within {counted(hops, 'hop')}: {upstream} upstream, {downstream} downstream"
    rows = list(_rows(answer))
    if rows:
        yield ""
        yield from listing(HEADS, rows, len(rows))
        calls = list(_calls(answer))
        yield ""
        yield from listing(("CALL", "KIND"), calls, len(calls))


def _rows(answer: GetNeighbourhoodResponse) -> Iterator[tuple[str, ...]]:
    """List services, and behind those of each side and depth its groups."""
    places = [(each.direction, each.depth) for each in answer.neighbours]
    places += [(each.selector.direction, each.selector.depth) for each in answer.groups]
    for place in sorted(set(places)):
        side, depth = enum_word(Direction, place[0]), str(place[1])
        for each in answer.neighbours:
            if (each.direction, each.depth) == place:
                service = each.service
                criticality = enum_word(Criticality, service.criticality)
                yield side, depth, visible(service.service_id), criticality, visible(service.team) or NONE
        for group in answer.groups:
            if (group.selector.direction, group.selector.depth) == place:
                highest = enum_word(Criticality, group.highest_criticality)
                yield side, depth, counted(group.service_count, "service"), f"up to {highest}", _teams(group)


def _teams(group: NeighbourGroup) -> str:
    if group.selector.other_teams:
        return counted(group.team_count, "other team")
    return visible(group.selector.team) or NONE


def _calls(answer: GetNeighbourhoodResponse) -> Iterator[tuple[str, str]]:
    for each in answer.dependencies:
        yield call_label(each.source_service_id, each.target_service_id), dependency_label([each])
    for counts in answer.group_calls:
        source, target = _end(answer, counts.source), _end(answer, counts.target)
        yield f"{source} → {target}", calls_label(counts.calls)


def _end(answer: GetNeighbourhoodResponse, end: CallEnd) -> str:
    if end.HasField("service_id"):
        return visible(end.service_id)
    group = answer.groups[end.group]
    team = _teams(group)
    if not group.selector.other_teams:
        team = "no team" if team == NONE else f"team {team}"
    side = enum_word(Direction, group.selector.direction)
    return f"({team}, {counted(group.selector.depth, 'hop')} {side})"
