"""
Encoded rows: bytes that answers are joined from.

A protobuf message is the concatenation of its fields, so ``b"".join`` of records makes the repeated
field of an answer.

- ``service_record``, ``encoded_id`` and ``dependency_record`` write the fields ``services``,
  ``service_ids`` and ``dependencies`` of ``TraverseResponse``. ``retagged`` makes them fields of
  other messages, ``renamed`` gives a dependency other names of its ends, ``with_confidence``
  another confidence.
- ``service_name``, ``dependency_ends``, ``service_of``, ``dependency_of`` read them back.
- ``read_labels`` reads the criticality and the team, or a text of the metadata, of many services.
- ``effective_record`` merges the records of a pair of services into ``effective_dependencies``.
- ``ServiceCopy`` reads the binary COPY stream of all services, and its ``dependencies()`` that
  of all dependencies, as batches of columns. Compiled kernels do that; as plain Python they are
  right, and slower than row by row.

Equal rows give equal bytes, whichever way they came: those that the generated code writes of the
message, but for the order of the keys in metadata, which stays as it is here.
"""

from server.domain.records import CopyFormatError, DependencyBatch, DependencyEnds, ServiceBatch
from server.wire.copying import Batch, BatchSize, CopyReader, DependencyCopy, ServiceCopy
from server.wire.effective import effective_dependency, effective_of, effective_record
from server.wire.labels import read_labels
from server.wire.records import (
    DEPENDENCY_TAG,
    ENCODED_ID_TAG,
    SERVICE_TAG,
    dependency_ends,
    dependency_of,
    dependency_record,
    encoded_id,
    renamed,
    retagged,
    service_name,
    service_of,
    service_record,
    with_confidence,
)

__all__ = [
    "DEPENDENCY_TAG",
    "ENCODED_ID_TAG",
    "SERVICE_TAG",
    "Batch",
    "BatchSize",
    "CopyFormatError",
    "CopyReader",
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
    "encoded_id",
    "read_labels",
    "renamed",
    "retagged",
    "service_name",
    "service_of",
    "service_record",
    "with_confidence",
]
