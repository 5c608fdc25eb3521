"""Reports of discovery sources: what they say, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from server.domain.dependencies import CommunicationMode, DependencyCriticality, DiscoverySource
from server.domain.services import ServiceCriticality, ServiceKind

OBSERVATION_GRANULARITY = timedelta(minutes=5)
"""What sources, imports and OTLP ask for: an observation that renews one by less is not written."""

_INTERVALS_MISSED = 3


class IngestNode(NamedTuple):
    """A service as a discovery source reports it; None = not reported."""

    service_id: str
    metadata: str | None = None
    criticality: ServiceCriticality | None = None
    team: str | None = None
    kind: ServiceKind | None = None


class ReportedEdge(NamedTuple):
    """
    A dependency as a discovery source reports it; None = not reported, or not known.

    A new dependency of unreported criticality is hard, one of criticality ``unknown`` has it so.
    ``retry_config`` is JSON text. A tuple, as ``DependencyDraft`` is.
    """

    source_service_id: str
    target_service_id: str
    communication_mode: CommunicationMode | None = None
    criticality: DependencyCriticality | None = None
    protocol: str | None = None
    timeout_ms: int | None = None
    retry_config: str | None = None
    confidence_score: float | None = None


class CalleePolicy(NamedTuple):
    """
    How callers treat a service, as its mesh or gateway sets it; None = not known.

    ``source_service_id`` None = all callers without a policy of their own.
    """

    target_service_id: str
    source_service_id: str | None = None
    timeout_ms: int | None = None
    retry_config: str | None = None
    confidence_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDetails:
    """
    How a report came about, for the record of its reporter.

    - ``interval``: how often the reporter means to report; None = not known.
    - ``element_count``: the elements that the report was made of, the skipped ones included.
    - ``skipped``: elements that could not be used, by reason.
    - ``error``: why there is no report, which is empty then; empty = there is one.
    - ``more``: the report goes on in another batch.
    """

    interval: timedelta | None = None
    element_count: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestBatch:
    """
    One report of one discovery source: every edge carries that source and ``observed_at``.

    ``granularity``: an edge of which nothing but the time would change is left alone unless its
    time moves on by so much or more.
    """

    discovery_source: DiscoverySource
    observed_at: datetime
    nodes: tuple[IngestNode, ...]
    edges: tuple[ReportedEdge, ...]
    policies: tuple[CalleePolicy, ...] = ()
    reporter: str = ""
    granularity: timedelta = timedelta(0)
    details: ReportDetails = field(default_factory=ReportDetails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """
    Who reports for a discovery source, and how the last report went. Times are aware, UTC.

    ``success_age`` is the time since the last report was taken in; None = there was none.
    """

    reporter: str
    discovery_source: DiscoverySource
    succeeded_at: datetime | None
    attempted_at: datetime
    success_age: timedelta | None
    last_error: str
    interval: timedelta | None
    element_count: int
    skipped: Mapping[str, int]
    services_created: int
    edges_created: int
    edges_updated: int
    edges_unchanged: int
    observations_renewed: int

    @property
    def is_silent(self) -> bool:
        """Whether it has an interval, and its last success is three of them ago, or never was."""
        if self.interval is None:
            return False
        return self.success_age is None or self.success_age >= _INTERVALS_MISSED * self.interval

    @property
    def skipped_count(self) -> int:
        """How many elements of the last report could not be used."""
        return sum(self.skipped.values())

    def __str__(self) -> str:
        return f"{self.reporter or 'without a name'} ({self.discovery_source})"


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What one report changed."""

    services_created: int = 0
    services_updated: int = 0
    edges_created: int = 0
    edges_updated: int = 0
    edges_unchanged: int = 0
    warnings: tuple[str, ...] = ()
    observations_renewed: int = 0
