"""
Rows as ready-made records: framed protobuf fields that answers are joined from.

A protobuf message is the concatenation of its fields, so ``b"".join`` of records makes the repeated field of an answer.

- ``service_record(row)``: ``TraverseResponse.services`` (tag 0x0A), ``service_brief(name)``: ``TraverseResponse.service_ids`` (0x12),
  ``dependency_record(row, source_name, target_name)``: ``TraverseResponse.dependencies`` (0x22). ``retagged(record, number)`` makes
  them fields of other messages, ``renamed(record, source_name, target_name)`` gives a dependency other names of its ends.
- ``service_name``, ``dependency_ends``, ``service_of``, ``dependency_of`` read them back.
- ``effective_record(records)`` merges the records of one pair of services into ``TraverseResponse.effective_dependencies``.
- ``service_copy()`` reads ``COPY (SELECT …) TO STDOUT (FORMAT binary)`` of all services, and its ``dependencies()`` that of all dependencies,
  as batches of columns. Compiled kernels do that; where they are not compiled it is right, and slower than row by row.

Equal rows give equal bytes, whichever way they came: those that the generated code writes of the message,
but for the order of the keys in metadata, which stays as it is here. This module as a whole is a ``server.domain.records.RecordFormat``: the rooms that may not know protobuf
get it as that.
"""

from server.domain.records import CopyFormatError, DependencyBatch, DependencyEnds, ServiceBatch
from server.wire.copying import BatchSize, DependencyCopy, ServiceCopy
from server.wire.effective import effective_dependency, effective_of, effective_record
from server.wire.records import (
    BRIEF_TAG,
    DEPENDENCY_TAG,
    SERVICE_TAG,
    dependency_ends,
    dependency_of,
    dependency_record,
    renamed,
    retagged,
    service_brief,
    service_name,
    service_of,
    service_record,
)

__all__ = [
    "BRIEF_TAG",
    "DEPENDENCY_TAG",
    "SERVICE_TAG",
    "BatchSize",
    "CopyFormatError",
    "DependencyBatch",
    "DependencyCopy",
    "DependencyEnds",
    "ServiceBatch",
    "ServiceCopy",
    "dependency_ends",
    "dependency_of",
    "dependency_record",
    "effective_dependency",
    "effective_of",
    "effective_record",
    "renamed",
    "retagged",
    "service_brief",
    "service_copy",
    "service_name",
    "service_of",
    "service_record",
]


def service_copy() -> ServiceCopy:
    """Return a reader for the services of a whole table, after which come its dependencies."""
    return ServiceCopy()
