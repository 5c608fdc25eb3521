"""What changes of dependencies mean for cycles and blast radii, made or to be made."""

from collections.abc import Iterator, Sequence

from depgraph.v1.analysis_service_pb2 import Cycle, CycleChange, CycleChangeKind, ImpactChange
from server.cli.render.labels import call_label, cycle_label, some_names
from server.cli.render.text import aligned, counted, enum_word, visible

MAX_CYCLES, MAX_NAMES = 20, 4


def cycle_change_lines(changes: Sequence[CycleChange]) -> Iterator[str]:
    """Write what becomes of cyclic components, indented, and how many are left out."""
    for change in changes[:MAX_CYCLES]:
        yield from _cycle_lines(change)
    rest = len(changes) - MAX_CYCLES
    if rest > 0:
        yield f"… and {counted(rest, 'more change')} of cycles (--json lists all)"


def impact_change_lines(
    changes: Sequence[ImpactChange], count: int, before: str, after: str
) -> Iterator[str]:
    """Write a table of the blast radii that change; ``before`` and ``after`` head their sizes."""
    heads = ("SERVICE", before, after, "ADDED", "REMOVED")
    yield from aligned([heads, *map(_impact_row, changes)], indent="  ")
    if count > len(changes):
        yield f"  … and {count - len(changes):,} more (--top lists more)"


def _cycle_lines(change: CycleChange) -> Iterator[str]:
    kind = enum_word(CycleChangeKind, change.kind)
    sizes = " → ".join(filter(None, (_sizes(change.before), _sizes(change.after))))
    witness = cycle_label((change.after or change.before)[0].cycle_path)
    yield f"  {kind}, {sizes} services: {witness}{'' if change.after else ' is gone'}"
    for pair in change.closing_pairs:
        cycle = f": {cycle_label(pair.cycle_path)}" if pair.cycle_path else ""
        yield f"    closed by {call_label(pair.source_service_id, pair.target_service_id)}{cycle}"
    rest = change.closing_pair_count - len(change.closing_pairs)
    if rest:
        yield f"    and by {counted(rest, 'more pair')}"


def _sizes(cycles: Sequence[Cycle]) -> str:
    sizes = [f"{each.size:,}" for each in cycles]
    shown = sizes if len(sizes) <= MAX_NAMES else [*sizes[:MAX_NAMES], "…"]
    return " + ".join(shown)


def _impact_row(change: ImpactChange) -> tuple[str, ...]:
    return (
        visible(change.service_id),
        f"{change.before:,}",
        f"{change.after:,}",
        _difference(change.added_service_ids, change.added_count),
        _difference(change.removed_service_ids, change.removed_count),
    )


def _difference(names: Sequence[str], count: int) -> str:
    return f"{count:,}: {some_names(names, count, MAX_NAMES)}" if count else "-"
