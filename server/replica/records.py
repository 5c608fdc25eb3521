"""Rows of the tables as records of the graph."""

from typing import cast

from graphcore import DependencyRecord, ServiceRecord
from server.domain.dependencies import DependencyRow
from server.domain.edge_flags import flags_of
from server.domain.records import RecordFormat
from server.domain.services import Service

# The key of no service: those have 16 bytes.
NOWHERE = b""


def service_record(records: RecordFormat, row: Service) -> ServiceRecord:
    """Return the node of a service."""
    name = row.service_id
    return ServiceRecord(row.id.bytes, name, records.service_record(row), records.service_brief(name))


def dependency_record(
    records: RecordFormat, row: DependencyRow, source: ServiceRecord | None, target: ServiceRecord | None
) -> DependencyRecord:
    """
    Return the edge of a dependency between these services, None = not there.

    One that can't be an edge, for want of an end or because both are the same, waits, and its record knows no names. So does, for good,
    a row with a word that has no meaning, which only a table without its CHECKs can hold.
    """
    key, flags = row.id.bytes, flags_of(row)
    if flags is None:
        return DependencyRecord(key, NOWHERE, NOWHERE, payload=records.dependency_record(row, "", ""))
    if source is None or target is None or source.key == target.key:
        payload = records.dependency_record(row, "", "")
        return DependencyRecord(key, row.source.bytes, row.target.bytes, flags, row.confidence_score, payload)
    payload = records.dependency_record(row, source.name, target.name)
    # Keys of services are shared, not copied: there are ten dependencies a service.
    return DependencyRecord(key, source.key, target.key, flags, row.confidence_score, payload)


def retold(
    records: RecordFormat,
    record: DependencyRecord,
    source: ServiceRecord | None,
    target: ServiceRecord | None,
) -> DependencyRecord:
    """Return the same dependency with the names that its ends have now."""
    if source is None or target is None or source.key == target.key:
        names = "", ""
    else:
        names = source.name, target.name
    return record._replace(payload=records.renamed(record_of(record), *names))


def record_of(record: ServiceRecord | DependencyRecord) -> bytes:
    """Return the bytes that stand for a node or an edge in answers."""
    return cast("bytes", record.payload)
