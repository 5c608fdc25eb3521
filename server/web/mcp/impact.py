"""The tool ``impact``."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

from depgraph.v1.analysis_service_pb2 import (
    AnalyzeImpactRequest,
    AnalyzeImpactResponse,
    ImpactedService,
    ImpactSummary,
)
from depgraph.v1.types_pb2 import (
    CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    Criticality,
    DependencyCriticality,
    Freshness,
    ResolvedAlias,
)
from server.web.mcp.answer import Answer, Cell, Name, Table
from server.web.mcp.arguments import (
    CRITICALITIES,
    FILTERS,
    Arguments,
    arguments,
    edge_filter,
    limit,
    number,
    several,
    text,
)
from server.web.mcp.asking import Ask
from server.web.mcp.naming import path, quoted
from server.web.mcp.times import AS_OF, consistency
from server.web.mcp.tool import Tool
from server.words import counted, enum_value, enum_word

_METHOD = "/depgraph.v1.AnalysisService/AnalyzeImpact"
_MOST = 200
_MOST_HOPS = 1_000_000
_MOST_TEAMS = 10
_STRENGTHS = (
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_SOFT,
)
_MEANINGS = {
    DEPENDENCY_CRITICALITY_HARD: "fail too (hard)",
    DEPENDENCY_CRITICALITY_UNKNOWN: "may fail (unknown)",
    DEPENDENCY_CRITICALITY_DEGRADED: "go on with less (degraded)",
    DEPENDENCY_CRITICALITY_SOFT: "go on (soft)",
}


async def _answer(ask: Ask, given: Arguments) -> Answer:
    request = AnalyzeImpactRequest(
        service_id=given["service"],
        max_hops=given["max_hops"],
        include_stale=given["include_stale"],
        filter=edge_filter(given),
        effective=True,
        consistency=consistency(given),
    )
    wanted = _Wanted(given)
    summary, freshness, aliases = ImpactSummary(), Freshness(), list[ResolvedAlias]()
    async for part in ask(_METHOD, request, AnalyzeImpactResponse):
        wanted.take(part.services)
        if part.HasField("summary"):
            summary, freshness, aliases = part.summary, part.freshness, list(part.resolved_aliases)
    return Answer(
        [*_summary(given["service"], summary), *wanted.summary()],
        [_teams(summary), wanted.table()],
        freshness=freshness,
        aliases=aliases,
        counts={"reached": summary.service_count, "by_synchronous_calls": summary.sync_count},
    )


class _Wanted:
    """The services that a question asks for: the hardest hit of those that pass its filters."""

    def __init__(self, given: Arguments) -> None:
        self._team: str | None = given.get("team")
        self._criticalities = {enum_value(Criticality, word) for word in given.get("criticalities", ())}
        self._limit: int = given["limit"]
        self._best: list[ImpactedService] = []
        self._count = 0

    def take(self, services: Iterable[ImpactedService]) -> None:
        """Look at a part of all services reached; O(n log limit)."""
        passing = [each for each in services if self._passes(each)]
        self._count += len(passing)
        self._best = heapq.nsmallest(self._limit, [*self._best, *passing], key=_place)

    def summary(self) -> Iterator[str]:
        """Say how many pass, if any filter is given."""
        team = [] if self._team is None else [f"team {quoted(self._team)}"]
        words = [enum_word(Criticality, each) for each in sorted(self._criticalities)]
        if filters := team + ([f"criticality {' or '.join(words)}"] if words else []):
            yield f"of these, {counted(self._count, 'service')} of {' and '.join(filters)}"

    def table(self) -> Table:
        """List them."""
        columns = ("service", "effect", "criticality", "team", "hops", "a_shortest_path")
        more = f"give a team, criticalities or max_hops, or a higher limit (at most {_MOST})"
        return Table("services", columns, [_row(each) for each in self._best], self._count, more)

    def _passes(self, each: ImpactedService) -> bool:
        if self._criticalities and each.criticality not in self._criticalities:
            return False
        return self._team is None or each.team == self._team


def _place(each: ImpactedService) -> tuple[int, int, int, str]:
    """Order by how hard a service is hit, then how critical and how near it is."""
    strength = each.weakest_criticality
    place = _STRENGTHS.index(strength) if strength in _STRENGTHS else len(_STRENGTHS)
    return place, each.criticality or CRITICALITY_UNKNOWN, each.hops, each.service_id


def _row(each: ImpactedService) -> tuple[Cell, ...]:
    return (
        Name(each.service_id),
        enum_word(DependencyCriticality, each.weakest_criticality),
        enum_word(Criticality, each.criticality),
        Name(each.team) if each.HasField("team") else None,
        each.hops,
        path(each.path),
    )


def _summary(service: str, summary: ImpactSummary) -> Sequence[str]:
    if not summary.service_count:
        return [f"{quoted(service)} fails: no other service is reached"]
    maybe = f", perhaps {summary.maybe_sync_count:,} more" if summary.maybe_sync_count else ""
    effects = [
        f"{each.service_count:,} {_MEANINGS.get(each.weakest_criticality, 'with an effect unknown here')}"
        for each in summary.weakest_criticalities
    ]
    criticalities = [
        f"{each.service_count:,} {enum_word(Criticality, each.criticality)}" for each in summary.criticalities
    ]
    reached = (
        f"{quoted(service)} fails: {counted(summary.service_count, 'service')} upstream reached, at most "
        f"{counted(summary.max_hops, 'hop')} away, {summary.sync_count:,} by synchronous calls alone{maybe}"
    )
    return [
        reached,
        f"effect: {', '.join(effects)}; criticality: {', '.join(criticalities)}",
    ]


def _teams(summary: ImpactSummary) -> Table:
    rows = [
        (Name(each.team) if each.HasField("team") else None, each.service_count)
        for each in summary.teams[:_MOST_TEAMS]
    ]
    return Table(
        "teams",
        ("team", "services"),
        rows,
        summary.team_count,
        "they have no more services each; give a team to list its services",
    )


IMPACT = Tool(
    "impact",
    "Who is hit when a service fails",
    "The blast radius of a service: every service that its failure reaches, directly or through others, with "
    "the effect (hard: fails too; unknown: may fail; degraded: goes on with less; soft: goes on), counted by "
    "team, and the hardest hit one by one. Use it to judge an incident or a planned shutdown.",
    arguments(
        ["service"],
        service=text("Name or alias of the service that fails."),
        team=text("List only services of this team."),
        criticalities=several("List only services of these criticalities.", CRITICALITIES),
        max_hops=number("Longest path of calls; 0 = any.", least=0, most=_MOST_HOPS, default=0),
        **FILTERS,
        as_of=AS_OF,
        limit=limit("Services", default=20, most=_MOST),
    ),
    _answer,
)
