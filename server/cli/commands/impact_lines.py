"""Blast radius as lines for people."""

from collections.abc import Iterator, Sequence

from depgraph.v1.analysis_service_pb2 import AnalyzeImpactResponse, ImpactedService, ImpactSummary
from depgraph.v1.types_pb2 import Criticality, DependencyCriticality
from server.cli.render.columns import aligned
from server.cli.render.text import counted, printable, visible

MOST_TEAMS = 10
MOST_NAMES, FIRST_NAMES, LAST_NAMES = 8, 4, 2


def impact_lines(service: str, answer: AnalyzeImpactResponse, top: int) -> Iterator[str]:
    """Say what is reached in a few lines, then a table with a line a service, at most ``top`` of them (0 = all)."""
    summary, listed = answer.summary, answer.services[: top or None]
    if not summary.service_count:
        yield f"{visible(service)}: nobody else is reached"
        return
    hops = counted(summary.max_hops, "hop")
    yield (
        f"{visible(service)}: {counted(summary.service_count, 'service')} reached, at most {hops} away, "
        f"{summary.sync_count:,} by synchronous calls alone"
    )
    yield from (f"  {line}" for line in aligned(_counts(summary)))
    yield ""
    yield from aligned([("HOPS", "SERVICE", "WEAKEST", "CRITICALITY", "TEAM", "PATH"), *map(_row, listed)])
    rest = summary.service_count - len(listed)
    if rest:
        yield f"… and {rest:,} more (--top 0 lists all)"


def path_line(names: Sequence[str]) -> str:
    """Write a path in call order; the middle of a long one is left out: ``a → b → c → d → … → y → z (25 hops)``."""
    shown = [visible(name) for name in names]
    if len(names) <= MOST_NAMES:
        return " → ".join(shown)
    return " → ".join([*shown[:FIRST_NAMES], "…", *shown[-LAST_NAMES:]]) + f" ({len(names) - 1:,} hops)"


def _row(found: ImpactedService) -> tuple[str, ...]:
    return (
        f"{found.hops:,}",
        visible(found.service_id),
        _strength(found.weakest_criticality),
        _criticality(found.criticality),
        printable(found.team) or "-",
        path_line(found.path),
    )


def _counts(summary: ImpactSummary) -> list[tuple[str, str]]:
    weakest = [
        f"{one.service_count:,} {_strength(one.weakest_criticality)}" for one in summary.weakest_criticalities
    ]
    criticalities = [
        f"{one.service_count:,} {_criticality(one.criticality)}" for one in summary.criticalities
    ]
    teams = [
        f"{one.service_count:,} {printable(one.team) if one.HasField('team') else 'of no team'}"
        for one in summary.teams[:MOST_TEAMS]
    ]
    if summary.team_count > len(teams):
        teams.append(f"{summary.team_count - len(teams):,} more teams")
    return [
        ("weakest", ", ".join(weakest)),
        ("criticality", ", ".join(criticalities)),
        ("team", ", ".join(teams)),
    ]


def _strength(criticality: DependencyCriticality.ValueType) -> str:
    return DependencyCriticality.Name(criticality).removeprefix("DEPENDENCY_CRITICALITY_").lower()


def _criticality(criticality: Criticality.ValueType) -> str:
    return Criticality.Name(criticality).removeprefix("CRITICALITY_").lower()
