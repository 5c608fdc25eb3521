"""Dependencies, the edges of the graph, as the database holds them. The source calls the target."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from server.domain.columns import GENERATED_TIMES, Column, ColumnType

CommunicationMode = Literal["sync", "async", "unknown"]
DependencyCriticality = Literal["hard", "soft", "degraded", "unknown"]
DiscoverySource = Literal["manual", "otel_service_graph", "kubernetes", "service_mesh", "catalog"]
BackoffStrategy = Literal["exponential", "linear", "constant"]

COMMUNICATION_MODES: tuple[CommunicationMode, ...] = get_args(CommunicationMode)
DEPENDENCY_CRITICALITIES: tuple[DependencyCriticality, ...] = get_args(DependencyCriticality)
DISCOVERY_SOURCES: tuple[DiscoverySource, ...] = get_args(DiscoverySource)
BACKOFF_STRATEGIES: tuple[BackoffStrategy, ...] = get_args(BackoffStrategy)
PROTOCOL_MAX_LENGTH = 50


class DependencyRow(NamedTuple):
    """
    One row of ``service_dependencies``, in table order; its ends are row ids of services.

    Names are looked up when an answer is built, since a service may be renamed without its
    dependencies changing. ``retry_config`` is JSON text; times are aware, UTC.
    """

    id: UUID
    source: UUID
    target: UUID
    communication_mode: CommunicationMode
    criticality: DependencyCriticality
    protocol: str | None
    timeout_ms: int | None
    retry_config: str | None
    discovery_source: DiscoverySource
    confidence_score: float
    last_observed_at: datetime
    is_stale: bool
    created_at: datetime
    updated_at: datetime


DEPENDENCY_COLUMNS = (
    Column("id", ColumnType.ID, role="generated"),
    Column("source_service_id", ColumnType.SERVICE, role="key"),
    Column("target_service_id", ColumnType.SERVICE, role="key"),
    Column("communication_mode", ColumnType.WORD, words=COMMUNICATION_MODES),
    Column("criticality", ColumnType.WORD, words=DEPENDENCY_CRITICALITIES),
    Column("protocol", ColumnType.TEXT, nullable=True),
    Column("timeout_ms", ColumnType.INTEGER, nullable=True),
    Column("retry_config", ColumnType.JSON, nullable=True),
    Column("discovery_source", ColumnType.WORD, words=DISCOVERY_SOURCES, role="key"),
    Column("confidence_score", ColumnType.DOUBLE),
    Column("last_observed_at", ColumnType.TIME, "last_observed_time", default="now()"),
    Column("is_stale", ColumnType.BOOLEAN),
    *GENERATED_TIMES,
)
"""The fields of ``DependencyRow`` as columns."""


class Dependency(NamedTuple):
    """The same row as callers see it: its ends are names of services."""

    id: UUID
    source_service_id: str
    target_service_id: str
    communication_mode: CommunicationMode
    criticality: DependencyCriticality
    protocol: str | None
    timeout_ms: int | None
    retry_config: str | None
    discovery_source: DiscoverySource
    confidence_score: float
    last_observed_at: datetime
    is_stale: bool
    created_at: datetime
    updated_at: datetime


class DependencyDraft(NamedTuple):
    """
    What a writer says of a dependency; ``last_observed_at`` None = now.

    ``retry_config`` is JSON text. A tuple, because ten thousand come at a time: it is made four
    times as fast as a frozen dataclass, and transposed into columns at once.
    """

    source_service_id: str
    target_service_id: str
    communication_mode: CommunicationMode
    criticality: DependencyCriticality = "hard"
    protocol: str | None = None
    timeout_ms: int | None = None
    retry_config: str | None = None
    discovery_source: DiscoverySource = "manual"
    confidence_score: float = 1.0
    last_observed_at: datetime | None = None
    is_stale: bool = False

    @property
    def key(self) -> tuple[str, str, DiscoverySource]:
        """What identifies a dependency: source, target, and discovery source."""
        return (self.source_service_id, self.target_service_id, self.discovery_source)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyFilter:
    """Which dependencies a list shows; None = all. Unknown names match nothing."""

    source_service_id: str | None = None
    target_service_id: str | None = None
    discovery_source: DiscoverySource | None = None
    include_stale: bool = False
