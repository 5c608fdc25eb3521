"""The tool ``cycles``."""

import grpc

from depgraph.v1.alert_service_pb2 import ListAlertsRequest, ListAlertsResponse
from depgraph.v1.analysis_service_pb2 import SuggestCutsRequest, SuggestCutsResponse
from depgraph.v1.graph_service_pb2 import (
    GetComponentRequest,
    GetComponentResponse,
    GetStatusRequest,
    GetStatusResponse,
    ListComponentsRequest,
    ListComponentsResponse,
)
from depgraph.v1.types_pb2 import (
    AlertStatus,
    CircularDependencyAlert,
    CommunicationMode,
    Consistency,
    Dependency,
    DependencyCriticality,
    Freshness,
)
from server.web.mcp.answer import Answer, Cell, Name, Table
from server.web.mcp.arguments import Arguments, arguments, choice, flag, number, text
from server.web.mcp.asking import Ask, AskError, one
from server.web.mcp.naming import cycle, quoted
from server.web.mcp.times import consistency, past_time
from server.web.mcp.tool import Tool
from server.words import counted, enum_value, enum_word

_STATUSES = {"live": ("open", "acknowledged"), "all": ("unspecified",)}
_MOST = 20
# Of each alert, unless the question is about one service.
_MOST_CUTS = 5
_ID_LENGTH = 8


async def _answer(ask: Ask, given: Arguments) -> Answer:
    past = consistency(given)
    return await _alerts_of_now(ask, given) if past is None else await _cycles_of_then(ask, given, past)


async def _alerts_of_now(ask: Ask, given: Arguments) -> Answer:
    service = given.get("service", "")
    status = await one(ask, "/depgraph.v1.GraphService/GetStatus", GetStatusRequest(), GetStatusResponse)
    alerts, has_more = await _alerts(ask, given["status"], service, given["limit"])
    notes, cuts, cut_count = [], list[tuple[Cell, ...]](), 0
    for alert in alerts:
        if alert.is_present:
            said, rows, _ = await _cuts(ask, _id(alert), _request(alert.cycle_path[0], given))
            notes.append(f"{_id(alert)}: {said}")
            cuts += rows if service else rows[:_MOST_CUTS]
            cut_count += len(rows)
    if service and not alerts:
        notes.append(await _without_alert(ask, service))
    summary = f"{'more than ' if has_more else ''}{counted(len(alerts), _called(given['status']))}"
    about = f" with {quoted(service)} in the cycle" if service else ""
    columns = ("alert", "status", "services", "in_graph", "since", "acknowledged_by", "shortest_cycle")
    more = f"give a service or a status, or a higher limit (at most {_MOST}); 'depgraph alerts' lists all"
    more_cuts = "'depgraph cuts' lists all" if service else "give a service of the cycle"
    return Answer(
        [summary + about],
        [
            Table(
                "alerts", columns, [_row(alert) for alert in alerts], None if has_more else len(alerts), more
            ),
            Table("cuts", ("alert", *_CUT_COLUMNS), cuts, cut_count, more_cuts),
        ],
        notes,
        freshness=status.freshness,
        counts={"alerts": len(alerts), "more_alerts": has_more},
    )


async def _cycles_of_then(ask: Ask, given: Arguments, past: Consistency) -> Answer:
    """Answer from the graph alone: alerts have no past."""
    service = given.get("service", "")
    members, total, freshness = [service], 1, Freshness()
    if not service:
        request = ListComponentsRequest(page_size=given["limit"], consistency=past)
        page = await one(ask, "/depgraph.v1.GraphService/ListComponents", request, ListComponentsResponse)
        members, total, freshness = (
            [each.members[0] for each in page.components],
            page.total_count,
            page.freshness,
        )
    found = SuggestCutsResponse()
    cycles, notes, cuts, cut_count = list[tuple[Cell, ...]](), [], list[tuple[Cell, ...]](), 0
    for place, member in enumerate(members, 1):
        said, rows, found = await _cuts(ask, place, _request(member, given, past))
        notes.append(f"cycle {place}: {said}")
        cuts += rows if service else rows[:_MOST_CUTS]
        cut_count += len(rows)
        freshness = found.freshness if service else freshness
        paths = [each.cycle_path for each in found.cuts if each.cycle_path]
        if found.component.is_cycle:
            shortest = cycle(min(paths, key=len)) if paths else None
            cycles.append((place, found.component.size, shortest))
    if service and found.HasField("component") and not cycles:
        total, notes = 0, [f"{quoted(service)} was on no cycle"]
    more = f"give a service, or a higher limit (at most {_MOST})"
    return Answer(
        [f"{counted(total, 'cycle')} in the graph as it was; alerts are kept only as they are now"],
        [
            Table("cycles", ("cycle", "services", "shortest_cycle"), cycles, total, more),
            Table("cuts", ("cycle", *_CUT_COLUMNS), cuts, cut_count, "give a service of the cycle"),
        ],
        notes,
        freshness=freshness,
        counts={"cycles": total},
    )


def _request(member: str, given: Arguments, past: Consistency | None = None) -> SuggestCutsRequest:
    return SuggestCutsRequest(service_id=member, sync_only=given["sync_only"], consistency=past)


def _called(status: str) -> str:
    return "cycle alert" if status == "all" else f"{status} cycle alert"


async def _alerts(
    ask: Ask, status: str, service: str, limit: int
) -> tuple[list[CircularDependencyAlert], bool]:
    """Ask for the latest alerts, and whether there are more."""
    found: dict[str, CircularDependencyAlert] = {}
    for word in _STATUSES.get(status, (status,)):
        request = ListAlertsRequest(
            page_size=limit + 1, status=enum_value(AlertStatus, word), service_id=service
        )
        page = await one(ask, "/depgraph.v1.AlertService/ListAlerts", request, ListAlertsResponse)
        # By id: an alert that is acknowledged meanwhile is in both lists.
        found |= {alert.id: alert for alert in page.alerts}
    latest = sorted(
        found.values(), key=lambda alert: (alert.detect_time.ToNanoseconds(), alert.id), reverse=True
    )
    return latest[:limit], len(latest) > limit


async def _cuts(
    ask: Ask, label: Cell, request: SuggestCutsRequest
) -> tuple[str, list[tuple[Cell, ...]], SuggestCutsResponse]:
    """Ask what to remove so that no cycle is left: in a sentence, as rows, as answered."""
    try:
        found = await one(ask, "/depgraph.v1.AnalysisService/SuggestCuts", request, SuggestCutsResponse)
    except AskError as error:
        # The graph moves on while alerts are read, and giant components have too many cuts.
        is_gone = error.code == grpc.StatusCode.NOT_FOUND and not request.HasField("consistency")
        if is_gone or error.code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"no cuts: {error}", [], SuggestCutsResponse()
        raise
    if not found.cuts:
        gone = "no cycle of synchronous calls" if request.sync_only else "the cycle is gone from the graph"
        return gone, [], found
    how = "proven minimum" if found.is_optimal else "cheaper ones may exist"
    do = "remove or make asynchronous" if request.sync_only else "remove"
    said = (
        f"{do} {counted(len(found.cuts), 'call')} to break every cycle, cost {found.total_cost:.2f} ({how})"
    )
    rows: list[tuple[Cell, ...]] = [
        (
            label,
            Name(cut.source_service_id),
            Name(cut.target_service_id),
            _how(list(cut.dependencies)),
            round(cut.cost, 2),
        )
        for cut in found.cuts
    ]
    return said, rows, found


_CUT_COLUMNS = ("caller", "callee", "calls", "cost")


def _how(dependencies: list[Dependency]) -> str:
    """Say how the caller depends on the callee: ``sync hard``; ``+`` joins sources that differ."""
    words = (
        f"{enum_word(CommunicationMode, each.communication_mode)} "
        f"{enum_word(DependencyCriticality, each.criticality)}"
        for each in dependencies
    )
    return " + ".join(dict.fromkeys(words))


async def _without_alert(ask: Ask, service: str) -> str:
    """Say whether a service without such an alert is on a cycle; raises for an unknown name."""
    request = GetComponentRequest(service_id=service, page_size=1)
    found = await one(ask, "/depgraph.v1.GraphService/GetComponent", request, GetComponentResponse)
    if not found.component.is_cycle:
        return f"{quoted(service)} is on no cycle"
    others = counted(found.component.size, "service")
    return f"{quoted(service)} is on a cycle all the same, in a component of {others}: ask for status all"


def _row(alert: CircularDependencyAlert) -> tuple[Cell, ...]:
    return (
        _id(alert),
        enum_word(AlertStatus, alert.status),
        alert.size or len(alert.cycle_path),
        "yes" if alert.is_present else "no",
        f"{alert.detect_time.ToDatetime():%Y-%m-%dT%H:%MZ}",
        Name(alert.acknowledged_by) if alert.HasField("acknowledged_by") else None,
        cycle(alert.cycle_path),
    )


def _id(alert: CircularDependencyAlert) -> str:
    return alert.id[:_ID_LENGTH]


CYCLES = Tool(
    "cycles",
    "Circular dependencies",
    "Alerts of services that call one another in a cycle, latest first: the shortest cycle of each, who "
    "looks after it, and the cheapest calls to remove (cuts) so that no cycle is left. Use it when an "
    "incident may feed itself, or to plan how to break a cycle.",
    arguments(
        [],
        service=text("Only cycles with this service (name or alias)."),
        status=choice(
            "Which alerts; live = open and acknowledged.",
            ["live", "open", "acknowledged", "resolved", "all"],
            "live",
        ),
        sync_only=flag("Cuts for cycles of synchronous calls only, which are the dangerous ones."),
        as_of=past_time("The cycles of the graph as it was: 2h (before now) or RFC 3339. Without status."),
        limit=number("Alerts listed at most.", least=1, most=_MOST, default=5),
    ),
    _answer,
)
