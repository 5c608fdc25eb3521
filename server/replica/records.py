"""Rows of the tables as records of the graph."""

from itertools import chain
from typing import TYPE_CHECKING, cast

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.domain.changes import HeldRows
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.flags import flags_of

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    flags = flags_of(row)
    if flags is None:
        return DependencyRecord(row.id, _NOWHERE, _NOWHERE, payload=row)
    return DependencyRecord(row.id, row.source, row.target, flags, row.confidence_score, row)


def held_rows(graph: DependencyGraph) -> HeldRows:
    """Return the rows of a graph as they are now; those of services and dependencies that wait included."""
    services = graph.services()
    dependencies = chain(graph.dependencies(), graph.waiting_dependencies())
    return HeldRows(
        cast("Iterable[Service]", (record.payload for record in services)),
        cast("Iterable[DependencyRow]", (record.payload for record in dependencies)),
    )
