"""``depgraph diff``: what differs between two times."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Annotated

import typer

from depgraph import Client
from depgraph.v1.analysis_service_pb2 import CycleChange, CycleChangeKind
from depgraph.v1.history_service_pb2 import (
    AliasChange,
    ChangeKind,
    DiffGraphRequest,
    DiffGraphResponse,
    PointInTime,
)
from depgraph.v1.types_pb2 import Dependency
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.failures import FOUND
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
from server.cli.past import span
from server.cli.render.changes import AnyChange, change_cells
from server.cli.render.consequences import cycle_change_lines, impact_change_lines
from server.cli.render.text import (
    aligned,
    counted,
    enum_word,
    fields_of,
    print_json,
    print_lines,
    visible,
)
from server.cli.times import FORMS, NOW, read_time, timestamp, written
from server.domain.errors import InvalidRevisionError
from server.domain.revision import Revision

MAX_IMPACTS = 1_000
MAX_GROUPS, MAX_FIELDS = 3, 4
SHOWN_OF_REVISION = 16


@dataclass(frozen=True, slots=True)
class TimeOrRevision:
    """A state that the user named, and what the heading calls it."""

    point: PointInTime
    said: str


def read_point(text: str) -> TimeOrRevision:
    """Read a time or a revision; ``ValueError`` for what is neither."""
    try:
        moment = read_time(text)
    except ValueError:
        try:
            Revision.parse(text)
        except InvalidRevisionError:
            pass
        else:
            return TimeOrRevision(PointInTime(revision=text), f"revision {text[:SHOWN_OF_REVISION]}…")
        raise
    return TimeOrRevision(PointInTime(time=timestamp(moment)), written(moment))


def _read_end(text: str) -> TimeOrRevision | None:
    return None if text.strip().lower() == NOW else read_point(text)


@asks_server(timeout=60.0)
def diff(
    start: Annotated[
        TimeOrRevision,
        typer.Argument(
            metavar="FROM",
            parser=read_point,
            help=f"The earlier time: {FORMS}. Or a revision.",
        ),
    ],
    end: Annotated[
        TimeOrRevision | None,
        typer.Argument(metavar="TO", parser=_read_end, help="The later time or revision. Default: now."),
    ] = None,
    *,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    excluded_kinds: ExcludedKinds = None,
    include_stale: IncludeStale = False,
    top: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Changes listed of each kind, 0 = all; --json has all."),
    ] = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show what changed between two times.

    Services, dependencies and aliases that came (+), went (-) or changed (~), and what that means
    for cycles and blast radii; what came back as it was is left out. Filters are of dependencies.
    Exit codes: 0 = no difference; 3 = differences; others as for every command.
    """
    request = DiffGraphRequest(
        to=None if end is None else end.point,
        filter=edge_filter(modes, criticalities, sources, min_confidence, excluded_kinds),
        include_stale=include_stale,
        max_impacts=MAX_IMPACTS if as_json else min(top or MAX_IMPACTS, MAX_IMPACTS),
        **{"from": start.point},
    )
    with connected(server) as client:
        answer = _whole(client, request, server.timeout)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines(_lines(answer, start, end, top))
    if answer.services or answer.dependencies or answer.aliases:
        raise typer.Exit(FOUND)


def _whole(client: Client, request: DiffGraphRequest, timeout: float) -> DiffGraphResponse:
    """Join the parts of the answer."""
    whole = DiffGraphResponse()
    for part in client.history.DiffGraph(request, timeout=timeout):
        whole.MergeFrom(part)
    return whole


def _lines(
    answer: DiffGraphResponse, start: TimeOrRevision, end: TimeOrRevision | None, top: int
) -> Iterator[str]:
    """Write the counts of everything first, so that a large difference is seen as a whole."""
    until = written(read_time(NOW)) if end is None else end.said
    yield from span(start.said, getattr(answer, "from"), until, answer.to)
    counts = list(_counts(answer))
    if not counts:
        yield "no difference"
        return
    yield ""
    yield from aligned(counts)
    if answer.cycle_changes:
        yield from ("", "cycles")
        yield from cycle_change_lines(answer.cycle_changes)
    yield from _section("services", answer.services, top)
    yield from _section("dependencies", answer.dependencies, top)
    yield from _section("aliases", answer.aliases, top)
    if answer.impact_changes:
        yield from ("", "blast radii")
        yield from impact_change_lines(answer.impact_changes, answer.impact_change_count, "BEFORE", "AFTER")


def _counts(answer: DiffGraphResponse) -> Iterator[tuple[str, str]]:
    """Count the changes of each sort; sorts without any are left out."""
    if answer.cycle_changes:
        yield "cycles", _by_kind(answer.cycle_changes)
    sorts: dict[str, Sequence[AnyChange]] = {
        "services": answer.services,
        "dependencies": answer.dependencies,
        "aliases": answer.aliases,
    }
    for name, changes in sorts.items():
        if changes:
            yield name, _by_kind(changes) + _fields(changes)
    if answer.impact_change_count:
        least = "at least " if answer.impacts_truncated else ""
        yield "blast radii", f"{least}{counted(answer.impact_change_count, 'service')}"


def _by_kind(changes: Sequence[AnyChange] | Sequence[CycleChange]) -> str:
    counts = Counter(map(_kind_word, sorted(changes, key=lambda each: each.kind)))
    return ", ".join(f"{count:,} {word}" for word, count in counts.items())


def _kind_word(change: AnyChange | CycleChange) -> str:
    if isinstance(change, CycleChange):
        return enum_word(CycleChangeKind, change.kind)
    return enum_word(ChangeKind, change.kind)


def _fields(changes: Sequence[AnyChange]) -> str:
    """Count the fields that changed: `` (timeout_ms of 12, team of 1)``."""
    counts = Counter(name for change in changes for name in _field_names(change))
    shown = [f"{visible(name)} of {count:,}" for name, count in counts.most_common(MAX_FIELDS)]
    if len(counts) > MAX_FIELDS:
        shown.append("…")
    return f" ({', '.join(shown)})" if shown else ""


def _field_names(change: AnyChange) -> tuple[str, ...]:
    return () if isinstance(change, AliasChange) else tuple(field.field for field in change.fields)


def _section(name: str, changes: Sequence[AnyChange], top: int) -> Iterator[str]:
    """List what came, then what went, then what changed; of each at most ``top``, 0 = all."""
    if not changes:
        return
    yield from ("", name)
    # Among thousands that changed alike, the one that did not comes first.
    alike = Counter(map(_field_names, changes))
    found = sorted(changes, key=lambda each: (each.kind, alike[_field_names(each)]))
    kinds = [list(same) for _, same in groupby(found, key=lambda each: each.kind)]
    lines = iter(aligned([change_cells(each) for same in kinds for each in same[: top or None]], indent="  "))
    for same in kinds:
        yield from islice(lines, len(same[: top or None]))
        if hidden := same[top:] if top else []:
            word, whose = _kind_word(hidden[0]), _groups(hidden)
            yield f"  … and {len(hidden):,} more {word}: {whose} (--top 0 lists all)"


def _groups(changes: Sequence[AnyChange]) -> str:
    """Say whose changes are not listed: ``9,000 of checkout, 700 of cart, 80 of 12 others``."""
    counts = Counter(map(_group, changes))
    foremost = counts.most_common(MAX_GROUPS)
    shown = [f"{count:,} of {name}" for name, count in foremost]
    if rest := len(counts) - len(foremost):
        others = len(changes) - sum(count for _, count in foremost)
        shown.append(f"{others:,} of {counted(rest, 'other')}")
    return ", ".join(shown)


def _group(change: AnyChange) -> str:
    """Name the team of a service, the caller of a dependency, or the service of an alias."""
    if isinstance(change, AliasChange):
        return visible(change.after or change.before)
    row = change.after if change.HasField("after") else change.before
    if isinstance(row, Dependency):
        return visible(row.source_service_id)
    return f"team {visible(row.team)}" if row.team else "no team"
