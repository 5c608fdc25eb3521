"""The tool ``neighbourhood``."""

from collections.abc import Iterator

from depgraph.v1.graph_service_pb2 import (
    DIRECTION_BOTH,
    DIRECTION_DOWNSTREAM,
    DIRECTION_UPSTREAM,
    Direction,
    GetNeighbourhoodRequest,
    GetNeighbourhoodResponse,
    GroupSelector,
)
from depgraph.v1.types_pb2 import Criticality, EffectiveDependency
from server.web.mcp.answer import Answer, Cell, Name, Table
from server.web.mcp.arguments import (
    FILTERS,
    Arguments,
    arguments,
    choice,
    edge_filter,
    limit,
    number,
    text,
)
from server.web.mcp.asking import Ask, one
from server.web.mcp.naming import quoted
from server.web.mcp.services import CALL_COLUMNS, SERVICE_COLUMNS, call_cells, described, service_cells
from server.web.mcp.times import AS_OF, consistency
from server.web.mcp.tool import Tool
from server.words import counted, enum_value, enum_word, enum_words

_MOST = 200
_MOST_HOPS = 10
_METHOD = "/depgraph.v1.GraphService/GetNeighbourhood"


async def _answer(ask: Ask, given: Arguments) -> Answer:
    direction = enum_value(Direction, given["direction"])
    request = GetNeighbourhoodRequest(
        service_id=given["service"],
        direction=direction,
        max_depth=given["hops"],
        include_stale=given["include_stale"],
        filter=edge_filter(given),
        max_services=given["limit"],
        consistency=consistency(given),
    )
    if "team" in given:
        request.opened_groups.extend(_groups_of(given["team"], direction, given["hops"]))
    found = await one(ask, _METHOD, request, GetNeighbourhoodResponse)
    return Answer(
        [_summary(found, direction, given["hops"])],
        list(_tables(found)),
        _without_team(found, given),
        freshness=found.freshness,
        aliases=found.resolved_aliases,
        counts={"upstream": found.upstream_count, "downstream": found.downstream_count},
    )


def _groups_of(team: str, direction: "Direction.ValueType", hops: int) -> Iterator[GroupSelector]:
    """Select the groups of a team, at every depth."""
    for side in (DIRECTION_UPSTREAM, DIRECTION_DOWNSTREAM):
        if direction in {side, DIRECTION_BOTH}:
            for depth in range(1, hops + 1):
                yield GroupSelector(direction=side, depth=depth, team=team)


def _summary(found: GetNeighbourhoodResponse, direction: "Direction.ValueType", hops: int) -> str:
    parts = []
    if direction != DIRECTION_DOWNSTREAM:
        parts.append(f"{found.upstream_count:,} upstream (callers)")
    if direction != DIRECTION_UPSTREAM:
        parts.append(f"{found.downstream_count:,} downstream (callees)")
    return f"{described(found.center)}: {' and '.join(parts)} within {counted(hops, 'hop')}"


def _without_team(found: GetNeighbourhoodResponse, given: Arguments) -> list[str]:
    """Say that none of the services is of the team, if that is so."""
    team = given.get("team")
    if team is None or any(each.service.team == team for each in found.neighbours):
        return []
    return [f"none of these services is of team {quoted(team)}: a team is found by its exact name"]


def _tables(found: GetNeighbourhoodResponse) -> Iterator[Table]:
    services = [
        (*service_cells(each.service), enum_word(Direction, each.direction), each.depth)
        for each in found.neighbours
    ]
    grouped = sum(group.service_count for group in found.groups)
    more = f"the groups count them; give their team, fewer hops, or a higher limit (at most {_MOST})"
    yield Table("services", (*SERVICE_COLUMNS, "side", "hops"), services, len(services) + grouped, more)
    calls = [
        (Name(call.source_service_id), Name(call.target_service_id), *call_cells(call))
        for call in sorted(found.dependencies, key=_ends)
    ]
    columns = ("caller", "callee", *CALL_COLUMNS)
    yield Table("calls", columns, calls, len(calls), "ask for fewer hops or a lower limit")
    groups = [
        (
            enum_word(Direction, group.selector.direction),
            group.selector.depth,
            _team(group.selector),
            group.service_count,
            enum_word(Criticality, group.highest_criticality),
        )
        for group in found.groups
    ]
    groups.sort(key=lambda group: (group[0] == "downstream", group[1], -group[3]))
    yield Table(
        "groups of services not listed",
        ("side", "hops", "team", "services", "most_critical"),
        groups,
        len(groups),
        "ask for fewer hops",
    )


def _team(group: GroupSelector) -> Cell:
    if group.other_teams:
        return "(other teams)"
    return Name(group.team) if group.team else None


def _ends(call: EffectiveDependency) -> tuple[str, str]:
    return call.source_service_id, call.target_service_id


NEIGHBOURHOOD = Tool(
    "neighbourhood",
    "Callers and callees of a service",
    "What is around one service: who calls it (upstream) and what it calls (downstream), each call with "
    "mode, timeout, retries and what happens to the caller if the callee fails. The most critical services "
    "come one by one, all others counted by team. Use it to get to know a service, or to see what a slow one "
    "waits for (downstream); for who is hit by a "
    "failure use impact, for how one service reaches another use paths.",
    arguments(
        ["service"],
        service=text("Name or alias of the service."),
        direction=choice("Which side.", enum_words(Direction), "both"),
        hops=number("How far.", least=1, most=_MOST_HOPS, default=1),
        team=text("List the services of this team before others."),
        **FILTERS,
        as_of=AS_OF,
        limit=limit("Services", default=25, most=_MOST),
    ),
    _answer,
)
