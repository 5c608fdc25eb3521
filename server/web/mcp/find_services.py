"""The tool ``find_services``."""

from depgraph.v1.graph_service_pb2 import (
    MATCH_KIND_SIMILAR,
    SearchServicesRequest,
    SearchServicesResponse,
)
from depgraph.v1.types_pb2 import ServiceKind
from server.web.mcp.answer import Answer, Name, Table
from server.web.mcp.arguments import KINDS, Arguments, arguments, choice, limit, text
from server.web.mcp.asking import Ask, one
from server.web.mcp.naming import quoted
from server.web.mcp.services import SERVICE_COLUMNS, service_cells
from server.web.mcp.times import AS_OF, consistency
from server.web.mcp.tool import Tool
from server.words import counted, enum_value

_MOST = 100
_NO_SUCH_TEAM = "a team is found by its exact name; services found without a team show theirs"


async def _answer(ask: Ask, given: Arguments) -> Answer:
    query = given.get("query", "")
    request = SearchServicesRequest(
        query=query,
        team=given.get("team", ""),
        kind=enum_value(ServiceKind, given.get("kind", "unspecified")),
        max_matches=given["limit"],
        consistency=consistency(given),
    )
    found = await one(ask, "/depgraph.v1.GraphService/SearchServices", request, SearchServicesResponse)
    is_similar = any(match.match_kind == MATCH_KIND_SIMILAR for match in found.matches)
    rows = [
        (
            *service_cells(match.service),
            match.caller_count,
            match.callee_count,
            Name(match.alias) if match.alias else None,
        )
        for match in found.matches
    ]
    columns = (*SERVICE_COLUMNS, "callers", "callees", "matched_alias")
    more = f"give more of the name, a team or a kind, or a higher limit (at most {_MOST})"
    return Answer(
        [_summary(given, found.match_count, is_similar=is_similar)],
        [Table("services", columns, rows, found.match_count, more)],
        [_NO_SUCH_TEAM] if "team" in given and not found.matches else [],
        freshness=found.freshness,
        counts={"matches": found.match_count, "only_similar": is_similar},
    )


def _summary(given: Arguments, count: int, *, is_similar: bool) -> str:
    query = given.get("query", "")
    if is_similar:
        return f"no name holds {quoted(query)}; these resemble it"
    kind = f" of kind {given['kind']}" if "kind" in given else ""
    team = f" of team {quoted(given['team'])}" if "team" in given else ""
    named = f" with {quoted(query)} in the name or an alias" if query else ""
    return f"{counted(count, 'service')}{kind}{team}{named}"


FIND_SERVICES = Tool(
    "find_services",
    "Find services",
    "Find services by a piece of their name or alias, by team or kind, best matches first. Use it first when "
    "you don't know the exact name that the other tools need, or to list what a team owns. Where no name "
    "holds the text, similar names come back.",
    arguments(
        [],
        query=text("Piece of a name, in any case. Without it: every service, most critical first."),
        team=text("Only services of this team (exact name)."),
        kind=choice("Only services of this kind.", KINDS),
        as_of=AS_OF,
        limit=limit("Services", default=20, most=_MOST),
    ),
    _answer,
)
