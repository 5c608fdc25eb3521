"""Effective dependencies in the plainest way: lists and dictionaries, sorted by the rules."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_UNKNOWN,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    Dependency,
    DiscoverySource,
    EffectiveDependency,
    FieldProvenance,
)
from tests.support import oracle
from tests.support.rows import PlainEdge, PlainFilter, Tables

PRIORITY = ("manual", "catalog", "service_mesh", "otel_service_graph", "kubernetes")
EVERYTHING = PlainFilter(include_stale=True)


def taking_part(rows: Tables, chosen: PlainFilter) -> dict[tuple[UUID, UUID], list[PlainEdge]]:
    """The edges that take part by pair, leading edge first; one edge for each pair and source."""
    pairs: dict[tuple[UUID, UUID], list[PlainEdge]] = defaultdict(list)
    for edge in rows.joined_edges():
        heard = edge.discovery in chosen.discoveries and edge.confidence >= chosen.min_confidence
        if heard and (chosen.include_stale or not edge.stale):
            pairs[edge.source, edge.target].append(edge)
    for edges in pairs.values():
        edges.sort(key=lambda edge: (edge.stale, PRIORITY.index(edge.discovery)))
    return pairs


def leading(rows: Tables, chosen: PlainFilter) -> dict[UUID, PlainEdge]:
    """The leading edges of the pairs that pass, by key, with the words of their pairs."""
    leads = [
        edges[0]._replace(
            mode=_first_known([edge.mode for edge in edges]),
            criticality=_first_known([edge.criticality for edge in edges]),
        )
        for edges in taking_part(rows, chosen).values()
    ]
    return {
        edge.key: edge
        for edge in leads
        if edge.mode in chosen.modes and edge.criticality in chosen.criticalities
    }


def _first_known(words: list[str]) -> str:
    return next((word for word in words if word != "unknown"), "unknown")


def reached(rows: Tables, start: UUID, direction: str, max_depth: int, chosen: PlainFilter) -> oracle.Reached:
    """Traverse over leading edges; the keys are theirs."""
    return oracle.reached(
        Tables(rows.services, leading(rows, chosen)), start, direction, max_depth, EVERYTHING
    )


def effective_of(rows: Sequence[Dependency]) -> EffectiveDependency:
    """Merge the rows of one pair."""
    ordered = sorted(rows, key=_place)
    message = EffectiveDependency(
        source_service_id=rows[0].source_service_id,
        target_service_id=rows[0].target_service_id,
        is_stale=all(row.is_stale for row in rows),
        discovery_sources=list(dict.fromkeys(row.discovery_source for row in ordered)),
    )
    winners: dict[str, Dependency] = {}
    for field in (
        "communication_mode",
        "criticality",
        "protocol",
        "timeout_ms",
        "retry_config",
        "confidence_score",
    ):
        said = [row for row in ordered if _is_set(row, field)]
        # UNKNOWN wins only where no source knows.
        winner = next((row for row in said if not _is_unknown(row, field)), said[0] if said else None)
        if winner is not None:
            winners[field] = winner
    winners["last_observed_time"] = max(ordered, key=lambda row: row.last_observed_time.ToNanoseconds())
    for field, row in winners.items():
        if field in {"retry_config", "last_observed_time"}:
            getattr(message, field).CopyFrom(getattr(row, field))
        else:
            setattr(message, field, getattr(row, field))
        message.provenance.append(
            FieldProvenance(field=field, discovery_source=row.discovery_source, dependency_id=row.id)
        )
    return message


def _place(row: Dependency) -> tuple[bool, int, float, int, str]:
    source = DiscoverySource.Name(row.discovery_source).removeprefix("DISCOVERY_SOURCE_").lower()
    observed = row.last_observed_time.ToNanoseconds()
    return row.is_stale, PRIORITY.index(source), -row.confidence_score, -observed, row.id


def _is_unknown(row: Dependency, field: str) -> bool:
    if field == "communication_mode":
        return row.communication_mode == COMMUNICATION_MODE_UNKNOWN
    return field == "criticality" and row.criticality == DEPENDENCY_CRITICALITY_UNKNOWN


def _is_set(row: Dependency, field: str) -> bool:
    return field in {descriptor.name for descriptor, _ in row.ListFields()}
