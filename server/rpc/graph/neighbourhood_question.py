"""GetNeighbourhood: what a request asks for."""

from typing import NamedTuple

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import Direction, EdgeFilter
from server.domain.live_graph import Consistency
from server.rpc.questions import consistency, edge_filter
from server.rpc.validate import Check
from server.wire.columns import EnumWords

_DEFAULT_DEPTH, _MAX_DEPTH = 1, 10
_DEFAULT_SERVICES, _MAX_SERVICES = 100, 1_000
_DEFAULT_TEAMS, _MAX_TEAMS = 20, 100
_MOST_OPENED = 100
_DIRECTIONS: EnumWords[str, pb.Direction.ValueType] = EnumWords(
    pb.Direction, [direction.value for direction in Direction]
)
_SIDES: EnumWords[str, pb.Direction.ValueType] = EnumWords(pb.Direction, ["upstream", "downstream"])


class GroupName(NamedTuple):
    """A group by what a request names it by; ``side`` as in ``graphcore.analysis.sides``."""

    side: int
    depth: int
    team: str
    other_teams: bool


class NeighbourhoodQuestion(NamedTuple):
    """Around which service (``""`` = one to begin with), and how much to show."""

    service_id: str
    direction: Direction
    max_depth: int
    edge_filter: EdgeFilter
    max_services: int
    max_teams: int
    opened: tuple[GroupName, ...]
    consistency: Consistency


def neighbourhood_question(request: pb.GetNeighbourhoodRequest) -> NeighbourhoodQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    name = request.service_id
    direction = check.optional_word("direction", request.direction, _DIRECTIONS)
    depth = check.number("max_depth", request.max_depth, 0, _MAX_DEPTH, f"0 = {_DEFAULT_DEPTH}")
    services = check.number(
        "max_services", request.max_services, 0, _MAX_SERVICES, f"0 = {_DEFAULT_SERVICES}"
    )
    teams = check.number("max_teams", request.max_teams, 0, _MAX_TEAMS, f"0 = {_DEFAULT_TEAMS}")
    check.at_most("opened_groups", request.opened_groups, _MOST_OPENED, "may be opened")
    question = NeighbourhoodQuestion(
        check.text("service_id", name) if name else "",
        Direction(direction or Direction.BOTH.value),
        depth or _DEFAULT_DEPTH,
        edge_filter(check, request.filter, include_stale=request.include_stale),
        services or _DEFAULT_SERVICES,
        teams or _DEFAULT_TEAMS,
        tuple(
            _group_name(check.within(f"opened_groups[{place}]"), each)
            for place, each in enumerate(request.opened_groups)
        ),
        consistency(check, request.consistency),
    )
    check.done()
    return question


def _group_name(check: Check, selector: pb.GroupSelector) -> GroupName:
    word = check.word("direction", selector.direction, _SIDES, "upstream")
    depth = check.number("depth", selector.depth, 1, _MAX_DEPTH)
    team = check.text("team", selector.team) if selector.team else ""
    if team and selector.other_teams:
        check.add("team", "is set, but other_teams is a group of several teams; leave one of them out")
    return GroupName(list(_SIDES.number).index(word), depth, team, selector.other_teams)
