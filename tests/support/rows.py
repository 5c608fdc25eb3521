"""Rows of the three tables as plain values, shared by oracles; free of the graph's code."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, cast
from uuid import UUID

COMMUNICATION_MODES = ("sync", "async", "unknown")
CRITICALITIES = ("hard", "soft", "degraded", "unknown")
DISCOVERY_SOURCES = ("manual", "otel_service_graph", "kubernetes", "service_mesh", "catalog")


class PlainService(NamedTuple):
    """What the oracles need of a row of ``services``."""

    key: UUID
    name: str
    kind: int = 0


class PlainEdge(NamedTuple):
    """What the oracles need of a row of ``service_dependencies``; the ends are keys of services."""

    key: UUID
    source: UUID
    target: UUID
    mode: str = "sync"
    criticality: str = "hard"
    discovery: str = "manual"
    confidence: float = 1.0
    stale: bool = False


class PlainAlias(NamedTuple):
    """What the oracles need of a row of ``service_aliases``."""

    key: UUID
    name: str
    service: UUID


class Tables(NamedTuple):
    """The rows of the tables by key."""

    services: dict[UUID, PlainService]
    edges: dict[UUID, PlainEdge]
    aliases: MutableMapping[UUID, PlainAlias] = cast("dict[UUID, PlainAlias]", MappingProxyType({}))

    def name(self, key: UUID) -> str:
        """Look up what the service with this key is called."""
        return self.services[key].name

    def resolve(self, name: str) -> str | None:
        """Look a name up among services, then among aliases."""
        own = [service.name for service in self.services.values() if service.name == name]
        meant = [alias.service for alias in self.aliases.values() if alias.name == name]
        return next(iter(own + [self.name(key) for key in meant if key in self.services]), None)

    def joined_edges(self) -> list[PlainEdge]:
        """The edges between two different services that are there."""
        return [
            edge
            for edge in self.edges.values()
            if edge.source in self.services and edge.target in self.services and edge.source != edge.target
        ]


@dataclass(frozen=True)
class PlainFilter:
    """Which edges count; the sets hold every value wanted."""

    modes: frozenset[str] = frozenset(COMMUNICATION_MODES)
    criticalities: frozenset[str] = frozenset(CRITICALITIES)
    discoveries: frozenset[str] = frozenset(DISCOVERY_SOURCES)
    min_confidence: float = 0.0
    include_stale: bool = False

    def admits(self, edge: PlainEdge) -> bool:
        """Tell whether an edge counts."""
        return (
            edge.mode in self.modes
            and edge.criticality in self.criticalities
            and edge.discovery in self.discoveries
            and edge.confidence >= self.min_confidence
            and (self.include_stale or not edge.stale)
        )
