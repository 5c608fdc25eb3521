"""What a change would do, as lines for people."""

from collections.abc import Iterator, Sequence

from depgraph.v1.analysis_service_pb2 import (
    CheckChangeResponse,
    Cycle,
    CycleChange,
    CycleChangeKind,
    ImpactChange,
)
from server.cli.commands.alert_lines import cycle
from server.cli.render.columns import aligned
from server.cli.render.text import counted, visible

MOST_CYCLES, MOST_NAMES = 20, 4


def check_lines(answer: CheckChangeResponse) -> Iterator[str]:
    """Say whether cycles are added and which, then what else becomes of cycles, then a table of blast radii."""
    added = sum(change.adds_cycles for change in answer.cycle_changes)
    yield f"cycles would be added: {_kinds(answer.cycle_changes)}" if added else "no cycle would be added"
    for change in answer.cycle_changes[:MOST_CYCLES]:
        yield from _cycle_lines(change)
    rest = len(answer.cycle_changes) - MOST_CYCLES
    if rest > 0:
        yield f"… and {counted(rest, 'more change')} of cycles (--json lists all)"
    yield from _impact_lines(answer)
    if answer.created_service_ids:
        yield f"{counted(len(answer.created_service_ids), 'new service')}: {_names(answer.created_service_ids)}"


def _kinds(changes: Sequence[CycleChange]) -> str:
    kinds = [_kind(change) for change in changes if change.adds_cycles]
    return ", ".join(f"{kinds.count(kind):,} {kind}" for kind in dict.fromkeys(kinds))


def _kind(change: CycleChange) -> str:
    return CycleChangeKind.Name(change.kind).removeprefix("CYCLE_CHANGE_KIND_").lower()


def _cycle_lines(change: CycleChange) -> Iterator[str]:
    sizes = " → ".join(filter(None, (_sizes(change.before), _sizes(change.after))))
    witness = (change.after or change.before)[0]
    yield f"  {_kind(change)}, {sizes} services: {cycle(witness.cycle_path)}{'' if change.after else ' is gone'}"
    for pair in change.closing_pairs:
        ends = f"{visible(pair.source_service_id)} → {visible(pair.target_service_id)}"
        yield f"    closed by {ends}" + (f": {cycle(pair.cycle_path)}" if pair.cycle_path else "")
    rest = change.closing_pair_count - len(change.closing_pairs)
    if rest:
        yield f"    and by {counted(rest, 'more pair')}"


def _sizes(cycles: Sequence[Cycle]) -> str:
    sizes = [f"{each.size:,}" for each in cycles]
    shown = sizes if len(sizes) <= MOST_NAMES else [*sizes[:MOST_NAMES], "…"]
    return " + ".join(shown)


def _impact_lines(answer: CheckChangeResponse) -> Iterator[str]:
    count, listed = answer.impact_change_count, answer.impact_changes
    if answer.impacts_truncated:
        yield f"blast radius: {counted(count, 'service')} would change, as far as was looked at: there are too many"
    elif count:
        yield f"blast radius: {counted(count, 'service')} would change"
    else:
        yield "blast radius: nothing would change"
        return
    heads = ("SERVICE", "NOW", "THEN", "ADDED", "REMOVED")
    yield from (f"  {line}" for line in aligned([heads, *map(_impact_row, listed)]))
    if count > len(listed):
        yield f"  … and {count - len(listed):,} more (--top lists more)"


def _impact_row(change: ImpactChange) -> tuple[str, ...]:
    return (
        visible(change.service_id),
        f"{change.before:,}",
        f"{change.after:,}",
        _difference(change.added_service_ids, change.added_count),
        _difference(change.removed_service_ids, change.removed_count),
    )


def _difference(names: Sequence[str], count: int) -> str:
    return f"{count:,}: {_names(names, count)}" if count else "-"


def _names(names: Sequence[str], count: int | None = None) -> str:
    shown = [visible(name) for name in names[:MOST_NAMES]]
    more = (len(names) if count is None else count) - len(shown)
    return ", ".join([*shown, f"and {more:,} more"] if more else shown)
