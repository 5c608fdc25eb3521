"""A graph as a server holds it, out of plain tables, with teams, criticalities and metadata."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import CountedCalls
from depgraph.v1.types_pb2 import Criticality
from graphcore import AliasRecord, DependencyGraph, DependencyRecord, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.live_graph import Freshness
from server.domain.services import Service, ServiceCriticality
from tests.support.graphs import flags_of, tables
from tests.support.rows import PlainEdge, Tables

FRESHNESS = Freshness("revision", timedelta(0))
LIMIT = 4 * 1024 * 1024
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_TEAMS = (None, "web", "pay", "ops", "é")
_CRITICALITIES: tuple[ServiceCriticality, ...] = ("critical", "high", "medium", "low", "unknown")


class Owner(NamedTuple):
    """What a service has that pictures go by."""

    team: str | None
    criticality: ServiceCriticality
    namespace: str | None


class PictureWorld(NamedTuple):
    """Plain tables, and the owner of each service."""

    rows: Tables
    owners: dict[UUID, Owner]

    def graph(self) -> DependencyGraph:
        rows = self.rows
        return DependencyGraph.from_records(
            [self._service(key) for key in rows.services],
            [self._dependency(edge) for edge in rows.edges.values()],
            [AliasRecord(alias.key, alias.name, alias.service) for alias in rows.aliases.values()],
        )

    def team(self, key: UUID) -> str:
        return self.owners[key].team or ""

    def rank(self, key: UUID) -> int:
        """The criticality, 1 = the highest."""
        return _CRITICALITIES.index(self.owners[key].criticality) + 1

    def _service(self, key: UUID) -> ServiceRecord:
        name, owner = self.rows.name(key), self.owners[key]
        metadata = {"before": [1, {"namespace": "no"}], "namespace": owner.namespace, "after": "x"}
        row = Service(
            key,
            name,
            json.dumps({name: value for name, value in metadata.items() if value is not None}),
            owner.criticality,
            owner.team,
            discovered=True,
            created_at=_NOW,
            updated_at=_NOW,
        )
        kind = self.rows.services[key].kind
        return ServiceRecord(key, name, wire.service_record(row), wire.encoded_id(name), kind)

    def _dependency(self, edge: PlainEdge) -> DependencyRecord:
        row = DependencyRow(
            edge.key,
            edge.source,
            edge.target,
            edge.mode,  # type: ignore[arg-type]
            edge.criticality,  # type: ignore[arg-type]
            protocol=None,
            timeout_ms=None,
            retry_config=None,
            discovery_source=edge.discovery,  # type: ignore[arg-type]
            confidence_score=edge.confidence,
            last_observed_at=_NOW,
            is_stale=edge.stale,
            created_at=_NOW,
            updated_at=_NOW,
        )
        record = wire.dependency_record(row, self.rows.name(edge.source), self.rows.name(edge.target))
        return DependencyRecord(edge.key, edge.source, edge.target, flags_of(edge), edge.confidence, record)


@st.composite
def picture_worlds(draw: st.DrawFn) -> PictureWorld:
    """Draw tables and owners."""
    rows = draw(tables())
    owner = st.builds(
        Owner,
        st.sampled_from(_TEAMS),
        st.sampled_from(_CRITICALITIES),
        st.sampled_from((None, "", "shop", "data")),
    )
    return PictureWorld(rows, {key: draw(owner) for key in rows.services})


def counted(edges: list[PlainEdge]) -> CountedCalls:
    """Count leading edges."""
    modes = Counter(edge.mode for edge in edges)
    return CountedCalls(
        pair_count=len(edges),
        sync_count=modes["sync"],
        async_count=modes["async"],
        unknown_count=modes["unknown"],
        stale_count=sum(edge.stale for edge in edges),
    )


def criticality(rank: int) -> Criticality.ValueType:
    """Return the criticality of a rank."""
    return Criticality.Value(f"CRITICALITY_{_CRITICALITIES[rank - 1].upper()}")
