"""Drafts of services and dependencies, with as little said as a test needs."""

from server.domain.dependencies import DependencyDraft
from server.domain.reports import ReportedEdge
from server.domain.services import ServiceDraft


def services(*names: str) -> list[ServiceDraft]:
    """Draft services of which only the names matter."""
    return [ServiceDraft(service_id=name) for name in names]


def dependencies(*edges: str) -> list[DependencyDraft]:
    """Draft synchronous dependencies, each written ``source>target``."""
    return [dependency(edge) for edge in edges]


def dependency(edge: str) -> DependencyDraft:
    """Draft the synchronous dependency written ``source>target``."""
    source, target = edge.split(">")
    return DependencyDraft(source_service_id=source, target_service_id=target, communication_mode="sync")


def reported(*edges: str) -> tuple[ReportedEdge, ...]:
    """Report synchronous dependencies, each written ``source>target``, with a confidence of 1."""
    pairs = (edge.split(">") for edge in edges)
    return tuple(ReportedEdge(source, target, "sync", confidence_score=1.0) for source, target in pairs)
