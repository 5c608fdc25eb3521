"""The tool ``check_change``."""

from collections.abc import Iterator, Sequence
from typing import Any

from depgraph.v1.analysis_service_pb2 import (
    CheckChangeRequest,
    CheckChangeResponse,
    Cycle,
    CycleChange,
    CycleChangeKind,
    DependencyKey,
    ImpactChange,
)
from depgraph.v1.types_pb2 import CommunicationMode, Dependency, DependencyCriticality
from server.web.mcp.answer import Answer, Cell, Name, Table
from server.web.mcp.arguments import (
    MODES,
    ArgumentError,
    Arguments,
    Schema,
    arguments,
    choice,
    limit,
    text,
)
from server.web.mcp.asking import Ask, one
from server.web.mcp.naming import cycle, listed, quoted
from server.web.mcp.suggesting import similar_names
from server.web.mcp.tool import Tool
from server.words import counted, enum_value, enum_word, enum_words

_METHOD = "/depgraph.v1.AnalysisService/CheckChange"
_MOST = 200
_MOST_CALLS = 200
_MOST_SUGGESTED = 3
_MORE_IMPACTS = f"give a higher limit (at most {_MOST})"


async def _answer(ask: Ask, given: Arguments) -> Answer:
    added, removed = given.get("add", []), given.get("remove", [])
    if not added and not removed:
        raise ArgumentError("add: give at least one call to add or to remove")
    request = CheckChangeRequest(
        added=[_dependency(each) for each in added],
        removed=[_key(each) for each in removed],
        max_impacts=given["limit"],
    )
    found = await one(ask, _METHOD, request, CheckChangeResponse)
    return Answer(
        [_verdict(found), _impact(found)],
        [
            cycle_table(found.cycle_changes),
            _closing(found),
            impact_table(found.impact_changes, found.impact_change_count, _MORE_IMPACTS),
        ],
        [await _new(ask, name) for name in found.created_service_ids[:_MOST_SUGGESTED]]
        + _more_new(found.created_service_ids),
        freshness=found.freshness,
        aliases=found.resolved_aliases,
        counts={
            "adds_cycles": found.adds_cycles,
            "changed_blast_radii": found.impact_change_count,
            "new_services": len(found.created_service_ids),
        },
    )


def _dependency(each: dict[str, Any]) -> Dependency:
    return Dependency(
        source_service_id=each["source"],
        target_service_id=each["target"],
        communication_mode=enum_value(CommunicationMode, each.get("mode") or "unknown"),
        criticality=enum_value(DependencyCriticality, each.get("criticality") or "unknown"),
        timeout_ms=each.get("timeout_ms"),
    )


def _key(each: dict[str, Any]) -> DependencyKey:
    return DependencyKey(source_service_id=each["source"], target_service_id=each["target"])


def _verdict(found: CheckChangeResponse) -> str:
    added = [enum_word(CycleChangeKind, each.kind) for each in found.cycle_changes if each.adds_cycles]
    if not added:
        return "OK: the change adds no cycle"
    kinds = ", ".join(f"{added.count(kind):,} {kind}" for kind in dict.fromkeys(added))
    return f"NOT OK: the change adds cycles ({kinds})"


def _impact(found: CheckChangeResponse) -> str:
    least = "at least " if found.impacts_truncated else ""
    changed = f"{least}{counted(found.impact_change_count, 'service')}"
    return f"blast radius (services that a failure reaches): changes for {changed}"


def cycle_table(changes: Sequence[CycleChange]) -> Table:
    """List what becomes of cycles."""
    columns = ("change", "adds_cycles", "services_before", "services_after", "shortest_cycle")
    rows = [_cycle_row(each) for each in changes]
    return Table("changes of cycles", columns, rows, len(rows), "ask about less")


def _cycle_row(each: CycleChange) -> tuple[Cell, ...]:
    return (
        enum_word(CycleChangeKind, each.kind),
        "yes" if each.adds_cycles else "no",
        _sizes(each.before),
        _sizes(each.after),
        cycle((each.after or each.before)[0].cycle_path) + ("" if each.after else " is gone"),
    )


def _sizes(cycles: Sequence[Cycle]) -> str | None:
    return " + ".join(f"{each.size:,}" for each in cycles[:5]) + (" + …" if len(cycles) > 5 else "") or None  # noqa: PLR2004


def _closing(found: CheckChangeResponse) -> Table:
    rows = [
        (
            Name(pair.source_service_id),
            Name(pair.target_service_id),
            cycle(pair.cycle_path) if pair.cycle_path else None,
        )
        for each in found.cycle_changes
        for pair in each.closing_pairs
    ]
    total = sum(each.closing_pair_count for each in found.cycle_changes)
    return Table(
        "new calls that close cycles", ("caller", "callee", "cycle"), rows, total, "check smaller changes"
    )


def impact_table(changes: Sequence[ImpactChange], total: int, more: str) -> Table:
    """List whose blast radius changes, of ``total`` services."""
    columns = ("service", "before", "after", "also_reaches", "no_longer_reaches")
    return Table("changed blast radii", columns, [_impact_row(each) for each in changes], total, more)


def _impact_row(each: ImpactChange) -> tuple[Cell, ...]:
    return (
        Name(each.service_id),
        each.before,
        each.after,
        listed(each.added_service_ids, each.added_count) or None,
        listed(each.removed_service_ids, each.removed_count) or None,
    )


async def _new(ask: Ask, name: str) -> str:
    """Say that a service is new, which may also be a slip of the pen."""
    similar = await similar_names(ask, name)
    hint = f"; if you meant another, similar names are {', '.join(map(quoted, similar))}" if similar else ""
    return f"new service: {quoted(name)} is not in the graph{hint}"


def _more_new(names: Sequence[str]) -> list[str]:
    rest = names[_MOST_SUGGESTED:]
    return [f"new services, too: {listed(rest, len(rest))}"] if rest else []


def _ends() -> Iterator[tuple[str, Schema]]:
    yield "source", text("Caller.")
    yield "target", text("Callee.")


def _calls(description: str, **properties: Schema) -> Schema:
    items = arguments(["source", "target"], **dict(_ends()), **properties)
    return {"type": "array", "items": items, "maxItems": _MOST_CALLS, "description": description}


CHECK_CHANGE = Tool(
    "check_change",
    "What a change would do",
    "Check calls that are to be added or removed before it is done: would cycles come into being, which "
    "calls close them, and whose blast radius grows or shrinks. Nothing is changed. Use it before you "
    "propose or merge a new dependency.",
    arguments(
        [],
        add=_calls(
            "Calls to add; services that don't exist count as new.",
            mode=choice("Does the caller wait?", MODES, "unknown"),
            criticality=choice(
                "What becomes of the caller when the callee fails.",
                enum_words(DependencyCriticality),
                "unknown",
            ),
            timeout_ms={"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        ),
        remove=_calls("Calls to remove, whichever source reports them."),
        limit=limit("Changed blast radii", default=20, most=_MOST),
    ),
    _answer,
    {
        "added": "add",
        "removed": "remove",
        "source_service_id": "source",
        "target_service_id": "target",
        "communication_mode": "mode",
    },
)
