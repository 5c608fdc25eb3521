"""Rows of the tables as records of the graph."""

from itertools import chain
from typing import TYPE_CHECKING, cast

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from server.domain.changes import HeldRows
from server.domain.dependencies import DependencyRow
from server.domain.services import Service

if TYPE_CHECKING:
    from collections.abc import Iterable

_MODES = {"sync": int(EdgeFlag.SYNC), "async": int(EdgeFlag.ASYNC)}
_CRITICALITIES = {
    "hard": int(EdgeFlag.HARD),
    "soft": int(EdgeFlag.SOFT),
    "degraded": int(EdgeFlag.DEGRADED),
}
_SOURCES = {
    "manual": int(EdgeFlag.MANUAL),
    "otel_service_graph": int(EdgeFlag.OTEL_SERVICE_GRAPH),
    "kubernetes": int(EdgeFlag.KUBERNETES),
    "service_mesh": int(EdgeFlag.SERVICE_MESH),
}
_STALE = int(EdgeFlag.STALE)
# The key of no service: those are UUIDs.
_NOWHERE = "nowhere"


def service_record(row: Service) -> ServiceRecord:
    """Return the node of a service; its payload is the row."""
    return ServiceRecord(row.id, row.service_id, row)


def dependency_record(row: DependencyRow) -> DependencyRecord:
    """
    Return the edge of a dependency; its payload is the row.

    A row with a word that has no meaning, which only a table without its CHECKs can hold, becomes one that waits for good:
    counted, compared in audits, and no edge.
    """
    try:
        flags = (
            _MODES[row.communication_mode] | _CRITICALITIES[row.criticality] | _SOURCES[row.discovery_source]
        )
    except KeyError:
        return DependencyRecord(row.id, _NOWHERE, _NOWHERE, payload=row)
    if row.is_stale:
        flags |= _STALE
    return DependencyRecord(row.id, row.source, row.target, flags, row.confidence_score, row)


def held_rows(graph: DependencyGraph) -> HeldRows:
    """Return the rows of a graph as they are now; those of services and dependencies that wait included."""
    services = graph.services()
    dependencies = chain(graph.dependencies(), graph.waiting_dependencies())
    return HeldRows(
        cast("Iterable[Service]", (record.payload for record in services)),
        cast("Iterable[DependencyRow]", (record.payload for record in dependencies)),
    )
