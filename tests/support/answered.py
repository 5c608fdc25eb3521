"""Whole rows for plain tables, their graph, and answers as the generated code builds them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import UUID

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1 import types_pb2
from graphcore import ChangeSet, DependencyGraph, DependencyRecord, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from tests.support.graphs import flags_of
from tests.support.rows import Tables
from tests.support.wire_rows import dependency_message, service_message

if TYPE_CHECKING:
    from server.domain.dependencies import CommunicationMode, DependencyCriticality, DiscoverySource


@dataclass(frozen=True)
class WholeTables:
    """Plain tables and their rows, which take from patterns what plain tables don't say."""

    plain: Tables
    services: dict[str, Service]
    dependencies: dict[UUID, DependencyRow]

    def graph(self) -> DependencyGraph:
        """Build the graph as a replica does, with records for payloads."""
        graph = DependencyGraph()
        services = [
            ServiceRecord(row.id.bytes, name, wire.service_record(row), wire.encoded_id(name))
            for name, row in self.services.items()
        ]
        dependencies = [self._record(row) for row in self.dependencies.values()]
        graph.apply(ChangeSet(upserted_services=services, upserted_dependencies=dependencies))
        return graph

    def _record(self, row: DependencyRow) -> DependencyRecord:
        edge = self.plain.edges[row.id]
        record = wire.dependency_record(row, self.plain.name(row.source), self.plain.name(row.target))
        ends = row.source.bytes, row.target.bytes
        return DependencyRecord(row.id.bytes, *ends, flags_of(edge), edge.confidence, record)

    def answer(
        self, order: Sequence[str], depths: dict[str, int], edges: Sequence[UUID], *, full: bool
    ) -> pb.TraverseResponse:
        """Build an answer by the generated code, its items in this order."""
        message = pb.TraverseResponse(service_ids=order, depths=[depths[name] for name in order])
        if full:
            message.services.extend(service_message(self.services[name]) for name in order)
            message.dependencies.extend(self.messages(edges))
        return message

    def messages(self, keys: Iterable[UUID]) -> list[types_pb2.Dependency]:
        """Build rows by the generated code, in this order."""
        rows = [self.dependencies[key] for key in keys]
        return [
            dependency_message(row, self.plain.name(row.source), self.plain.name(row.target)) for row in rows
        ]


def whole(plain: Tables, services: Sequence[Service], dependencies: Sequence[DependencyRow]) -> WholeTables:
    """Give each plain row the rest of it, from these patterns in turn."""
    rows = {
        service.name: services[place % len(services)]._replace(id=service.key, service_id=service.name)
        for place, service in enumerate(plain.services.values())
    }
    edges = {
        edge.key: dependencies[place % len(dependencies)]._replace(
            id=edge.key,
            source=edge.source,
            target=edge.target,
            communication_mode=cast("CommunicationMode", edge.mode),
            criticality=cast("DependencyCriticality", edge.criticality),
            discovery_source=cast("DiscoverySource", edge.discovery),
            confidence_score=edge.confidence,
            is_stale=edge.stale,
        )
        for place, edge in enumerate(plain.edges.values())
    }
    return WholeTables(plain, rows, edges)
