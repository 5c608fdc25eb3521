"""What reports may change, with plain dictionaries: the oracle of what reports write."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from server.domain.reports import IngestBatch, IngestNode, ReportedEdge

Outcome = Literal["created", "updated", "renewed", "unchanged", "late"]
Key = tuple[str, str, str]
"""Source, target and discovery source."""

_UNKNOWN = (None, "unknown")
_FIRST = {"communication_mode": "unknown", "criticality": "hard"}


@dataclass(frozen=True)
class Edge:
    """A dependency in the table; ``said`` are the fields that a source may know."""

    said: Mapping[str, Any]
    confidence: float
    reported: float | None
    observed_at: datetime
    is_stale: bool = False


@dataclass(frozen=True)
class Node:
    """A service in the table."""

    discovered: bool
    said: Mapping[str, Any]


def edge_after(
    old: Edge | None, edge: ReportedEdge, at: datetime, granularity: timedelta
) -> tuple[Edge, Outcome]:
    """Return the dependency after a report, and what became of it."""
    news = edge._asdict()
    names = ("communication_mode", "criticality", "protocol", "timeout_ms", "retry_config")
    if old is None:
        said = {name: news[name] or _FIRST.get(name) for name in names}
        confidence = 1.0 if edge.confidence_score is None else edge.confidence_score
        return Edge(said, confidence, None, at), "created"
    is_late = old.observed_at > at
    may = [name for name in names if not is_late or old.said[name] in _UNKNOWN]
    new = replace(old, said={**old.said, **{name: news[name] for name in may if news[name] not in _UNKNOWN}})
    if is_late:
        return (new, "updated") if new != old else (old, "late")
    last_reported = old.confidence if old.reported is None else old.reported
    if edge.confidence_score is not None and edge.confidence_score != last_reported:
        new = replace(new, confidence=edge.confidence_score, reported=None)
    is_later = at > old.observed_at and at - old.observed_at >= granularity
    if new == old and not old.is_stale and not is_later:
        return old, "unchanged"
    if at > old.observed_at and new.reported is not None:
        new = replace(new, confidence=new.reported, reported=None)
    new = replace(new, is_stale=False)
    outcome: Outcome = "updated" if new != old else "renewed"
    return replace(new, observed_at=at), outcome


def node_after(old: Node | None, node: IngestNode) -> Node:
    """Return the service after a report that names it."""
    news = {name: value for name, value in node._asdict().items() if name != "service_id"}
    if old is None:
        first = {"metadata": "{}", "criticality": "medium", "kind": "service"}
        return Node(discovered=True, said={name: news[name] or first.get(name) for name in news})
    if not old.discovered:
        return old
    known = {name: value for name, value in news.items() if value not in _UNKNOWN}
    return replace(old, said={**old.said, **known})


class ModelGraph:
    """The two tables."""

    def __init__(self, services: Iterable[tuple[str, Node]] = ()) -> None:
        self.nodes = dict(services)
        self.edges: dict[Key, Edge] = {}

    def ingest(self, batch: IngestBatch) -> dict[Outcome, int]:
        """Take in the nodes and edges of a report; returns what became of the edges."""
        for node in batch.nodes:
            self.nodes[node.service_id] = node_after(self.nodes.get(node.service_id), node)
        counts: dict[Outcome, int] = dict.fromkeys(("created", "updated", "renewed", "unchanged", "late"), 0)
        for edge in batch.edges:
            for name in edge[:2]:
                self.nodes.setdefault(name, node_after(None, IngestNode(name)))
            key = (edge.source_service_id, edge.target_service_id, batch.discovery_source)
            self.edges[key], outcome = edge_after(
                self.edges.get(key), edge, batch.observed_at, batch.granularity
            )
            counts[outcome] += 1
        return counts
