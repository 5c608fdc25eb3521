"""The tool ``what_changed``."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from depgraph.v1.analysis_service_pb2 import CycleChange, CycleChangeKind
from depgraph.v1.history_service_pb2 import (
    CHANGE_KIND_CHANGED,
    CHANGE_KIND_REMOVED,
    AliasChange,
    Change,
    ChangeKind,
    DependencyChange,
    DiffGraphRequest,
    DiffGraphResponse,
    FieldChange,
    ListChangesRequest,
    ListChangesResponse,
    PointInTime,
    ServiceChange,
)
from depgraph.v1.types_pb2 import (
    CommunicationMode,
    Dependency,
    DependencyCriticality,
    DiscoverySource,
    Freshness,
    Service,
)
from server.field_changes import Json, differences
from server.web.mcp.answer import Answer, Cell, Name, Table
from server.web.mcp.arguments import Arguments, arguments, limit, number, text
from server.web.mcp.asking import Ask, one
from server.web.mcp.check_change import cycle_table, impact_table
from server.web.mcp.naming import quoted
from server.web.mcp.services import described
from server.web.mcp.times import past_time, read, written
from server.web.mcp.tool import Tool
from server.words import enum_word

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

_HISTORY = "/depgraph.v1.HistoryService"
_MOST = 200
_MOST_HOPS = 10
_MOST_IMPACTS = 5
# So many are looked through for those of one service.
_ALL_IMPACTS = 1_000
_MOST_VALUE = 60


async def _answer(ask: Ask, given: Arguments) -> Answer:
    request = ListChangesRequest(
        service_id=given.get("service", ""),
        max_hops=given["hops"],
        since=read(given, "since"),
        until=read(given, "until"),
        page_size=given["limit"],
    )
    listed = await one(ask, f"{_HISTORY}/ListChanges", request, ListChangesResponse)
    service = listed.resolved_aliases[0].service_id if listed.resolved_aliases else request.service_id
    meant = await _difference(ask, listed, _ALL_IMPACTS if service else _MOST_IMPACTS)
    cycles = [each for each in meant.cycle_changes if not service or service in _members(each)]
    impacts = [each for each in meant.impact_changes if service in {"", each.service_id}]
    impact_count = len(impacts) if service else meant.impact_change_count
    return Answer(
        [_summary(given, listed), _effects(cycles, impact_count, meant, service)],
        [_changes(listed, given), cycle_table(cycles), impact_table(impacts, impact_count, _MORE_IMPACTS)],
        freshness=listed.until,
        since=listed.since,
        aliases=listed.resolved_aliases,
        counts={"changes_listed": len(listed.changes), "more_changes": bool(listed.next_page_token)},
    )


_MORE_IMPACTS = "give a service to see whether its own changed; 'depgraph diff' lists all"


async def _difference(ask: Ask, listed: ListChangesResponse, most_impacts: int) -> DiffGraphResponse:
    """Ask what the changes come to, between the very states that they were listed between."""
    whole = DiffGraphResponse()
    if not listed.changes:
        return whole
    request = DiffGraphRequest(to=_point(listed.until), max_impacts=most_impacts)
    # Named by a keyword of Python.
    getattr(request, "from").CopyFrom(_point(listed.since) or PointInTime())
    async for part in ask(f"{_HISTORY}/DiffGraph", request, DiffGraphResponse):
        whole.cycle_changes.extend(part.cycle_changes)
        whole.impact_changes.extend(part.impact_changes)
        whole.impact_change_count += part.impact_change_count
        whole.impacts_truncated |= part.impacts_truncated
    return whole


def _point(state: Freshness) -> PointInTime | None:
    """Name a state; None = now."""
    if not state.HasField("as_of_time"):
        return None
    return PointInTime(time=state.as_of_time)


def _members(change: CycleChange) -> set[str]:
    return {name for each in (*change.before, *change.after) for name in each.members}


def _summary(given: Arguments, listed: ListChangesResponse) -> str:
    count = f"{len(listed.changes):,}{' or more' if listed.next_page_token else ''}"
    changes = "change" if count == "1" else "changes"
    if "service" not in given:
        return f"{count} {changes}, newest first"
    hops = given["hops"]
    near = f"within {hops:,} hop{'' if hops == 1 else 's'} of {quoted(given['service'])}"
    return f"{count} {changes} {near}, nearest first, then newest"


def _effects(cycles: Sequence[CycleChange], impacts: int, meant: DiffGraphResponse, service: str) -> str:
    kinds = Counter(enum_word(CycleChangeKind, each.kind) for each in cycles)
    changed_cycles = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()) or "none changed"
    least = "at least " if meant.impacts_truncated else ""
    with_it = f" with {quoted(service)} in them" if service else ""
    said = f"cycles{with_it}: {changed_cycles}"
    if service:
        changed = "changed" if impacts else "not known, too many changed" if _is_cut(meant) else "as before"
        return f"{said}; its blast radius: {changed}"
    return f"{said}; blast radii changed: {least}{impacts:,}"


def _is_cut(meant: DiffGraphResponse) -> bool:
    return meant.impacts_truncated or meant.impact_change_count > len(meant.impact_changes)


def _changes(listed: ListChangesResponse, given: Arguments) -> Table:
    columns = ("when", "who", "hops", "change", "what", "details")
    rows = [_row(each, is_near="service" in given) for each in listed.changes]
    total = None if listed.next_page_token else len(rows)
    more = f"give a service, fewer hops, a shorter time, or a higher limit (at most {_MOST})"
    return Table("changes", columns, rows, total, more)


def _row(change: Change, *, is_near: bool) -> tuple[Cell, ...]:
    kind, what, details = _subject(change)
    return (
        written(change.time.ToDatetime()),
        Name(change.who) if change.who else None,
        change.hops if is_near else None,
        enum_word(ChangeKind, kind),
        what,
        details or None,
    )


def _subject(change: Change) -> tuple["ChangeKind.ValueType", str, str]:
    """Say what became of what: the kind, the subject, the details."""
    match change.WhichOneof("subject"):
        case "service":
            return _service(change.service)
        case "dependency":
            return _dependency(change.dependency)
        case "alias":
            return _alias(change.alias)
        case None:
            return CHANGE_KIND_CHANGED, "something that this version does not know", ""


def _service(change: ServiceChange) -> tuple["ChangeKind.ValueType", str, str]:
    found = change.before if change.kind == CHANGE_KIND_REMOVED else change.after
    if change.kind == CHANGE_KIND_CHANGED:
        return change.kind, f"service {quoted(found.service_id)}", _fields(change.fields, Service.DESCRIPTOR)
    return change.kind, f"service {described(found)}", ""


def _dependency(change: DependencyChange) -> tuple["ChangeKind.ValueType", str, str]:
    found = change.before if change.kind == CHANGE_KIND_REMOVED else change.after
    call = f"call {quoted(found.source_service_id)} → {quoted(found.target_service_id)}"
    source = enum_word(DiscoverySource, found.discovery_source)
    if change.kind == CHANGE_KIND_CHANGED:
        return change.kind, f"{call} by {source}", _fields(change.fields, Dependency.DESCRIPTOR)
    return change.kind, f"{call} by {source}", ", ".join(_facts(found))


def _facts(call: Dependency) -> Iterator[str]:
    yield enum_word(CommunicationMode, call.communication_mode)
    yield enum_word(DependencyCriticality, call.criticality)
    if call.HasField("protocol"):
        yield quoted(call.protocol)
    if call.HasField("timeout_ms"):
        yield f"timeout {call.timeout_ms:,} ms"
    if call.HasField("retry_config"):
        yield f"{call.retry_config.max_retries:,} retries"
    if call.is_stale:
        yield "stale"


def _alias(change: AliasChange) -> tuple["ChangeKind.ValueType", str, str]:
    stands = " → ".join(quoted(each) for each in (change.before, change.after) if each)
    return change.kind, f"alias {quoted(change.alias)}", f"of {stands}"


def _fields(fields: Sequence[FieldChange], descriptor: "Descriptor") -> str:
    """Write fields before and after, as ``differences`` finds them."""
    return "; ".join(
        f"{'.'.join(map(quoted, each.path))} {_value(each.before)} → {_value(each.after)}"
        for each in differences(fields, descriptor)
    )


def _value(value: Json) -> str:
    """Write a value as other tools do."""
    if value is None:
        return "unset"
    if isinstance(value, str):
        return quoted(value if len(value) <= _MOST_VALUE else f"{value[:_MOST_VALUE]}…")
    shown = json.dumps(_with_whole_numbers(value))
    return shown if len(shown) <= _MOST_VALUE else f"{shown[:_MOST_VALUE]}…"


def _with_whole_numbers(value: Json) -> Json:
    """Write 3.0 as 3: numbers of a protobuf Value are floats."""
    match value:
        case dict():
            return {key: _with_whole_numbers(each) for key, each in value.items()}
        case list():
            return [_with_whole_numbers(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


WHAT_CHANGED = Tool(
    "what_changed",
    "What changed, when, by whom",
    "Changes of the graph, of one service's surroundings or everywhere: services, calls and aliases that "
    "came, went or got other values, field by field, with who made them, and what they come to: cycles made "
    "and broken, blast radii changed. Ask it first in an incident; as_of of other tools then asks the graph "
    "of before.",
    arguments(
        [],
        service=text(
            "Changes near this service (name or alias), nearest first. Without it: all, newest first."
        ),
        hops=number("How far from the service.", least=0, most=_MOST_HOPS, default=2),
        since=past_time("From when: 30m, 2h, 3d (before now) or RFC 3339. Default: an hour before until."),
        until=past_time("Until when. Default: now."),
        limit=limit("Changes", default=25, most=_MOST),
    ),
    _answer,
    {"service_id": "service", "max_hops": "hops"},
)
