"""Rows of the tables as nodes and edges of the graph, one by one or in batches of whole columns."""

from collections.abc import Iterator
from typing import cast

import numpy as np
from numpy.typing import NDArray

from graphcore import DependencyRecord, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import KIND_BITS, DependencyBatch, ServiceBatch, flags_of
from server.domain.services import Service

# Records made between two checkpoints: half a millisecond's work.
BATCH_ROWS = 250
# The key of no service: those have 16 bytes.
_NO_KEY = b""
# Most dependencies are certain: they share one object.
_CERTAIN = 1.0


def node_of(row: Service) -> ServiceRecord:
    """Return the node of a service."""
    name = row.service_id
    kind = KIND_BITS.get(row.kind, 0)
    return ServiceRecord(row.id.bytes, name, wire.service_record(row), wire.encoded_id(name), kind)


def edge_of(
    row: DependencyRow, source: ServiceRecord | None, target: ServiceRecord | None
) -> DependencyRecord:
    """
    Return the edge of a dependency between these services; None = the service does not exist.

    A row that can't be an edge (an end is missing, or both are the same) waits outside the graph,
    encoded without names. So does, for good, a row with an unknown word, which only a table without
    its CHECKs can hold.
    """
    key, flags = row.id.bytes, flags_of(row)
    if flags is None:
        return DependencyRecord(key, _NO_KEY, _NO_KEY, payload=wire.dependency_record(row, "", ""))
    if source is None or target is None or source.key == target.key:
        encoded = wire.dependency_record(row, "", "")
        return DependencyRecord(key, row.source.bytes, row.target.bytes, flags, row.confidence_score, encoded)
    encoded = wire.dependency_record(row, source.name, target.name)
    # Keys of services are shared, not copied: there are about ten dependencies a service.
    return DependencyRecord(key, source.key, target.key, flags, row.confidence_score, encoded)


def reencoded(
    record: DependencyRecord, source: ServiceRecord | None, target: ServiceRecord | None
) -> DependencyRecord:
    """Return the same dependency, encoded with the names that its ends have now."""
    if source is None or target is None or source.key == target.key:
        names = "", ""
    else:
        names = source.name, target.name
    return record._replace(payload=wire.renamed(cast("bytes", record.payload), *names))


def with_confidence(record: DependencyRecord, confidence: float) -> DependencyRecord:
    """Return the same dependency with another confidence."""
    payload = wire.with_confidence(cast("bytes", record.payload), confidence)
    return record._replace(confidence=confidence, payload=payload)


def service_records(batch: ServiceBatch) -> Iterator[list[ServiceRecord]]:
    """Make the records of a batch, ``BATCH_ROWS`` at a time."""
    for start in range(0, len(batch.keys), BATCH_ROWS):
        rows = slice(start, start + BATCH_ROWS)
        columns = (batch.keys, batch.names, batch.records, batch.encoded_ids, batch.kinds)
        some = (column[rows] for column in columns)
        yield list(map(ServiceRecord._make, zip(*some, strict=True)))


class BatchDecoder:
    """Makes records of batches of dependencies, which point to services by position."""

    def __init__(self) -> None:
        self._keys: list[object] = []
        self._array: NDArray[np.object_] = np.empty(0, object)

    def add(self, services: list[ServiceRecord]) -> None:
        """Add the next services of the table; dependencies will share their keys."""
        self._keys += [service.key for service in services]

    def edges(self, batch: DependencyBatch, places: NDArray[np.intp]) -> list[DependencyRecord]:
        """Make the records at some places of a batch, all of which can be edges."""
        if len(self._array) < len(self._keys):
            self._array = np.fromiter(self._keys, object, len(self._keys))
        chosen = places.tolist()
        columns = (
            map(batch.keys.__getitem__, chosen),
            self._array[batch.sources[places]].tolist(),
            self._array[batch.targets[places]].tolist(),
            batch.flags[places].tolist(),
            [_CERTAIN if number == _CERTAIN else number for number in batch.confidences[places].tolist()],
            map(batch.records.__getitem__, chosen),
        )
        return list(map(DependencyRecord._make, zip(*columns, strict=True)))

    def waiting(self, batch: DependencyBatch, place: int) -> DependencyRecord:
        """Make the record at a place that can't be an edge, as ``edge_of`` makes it."""
        row = batch.strays.get(place)
        if row is not None:
            return edge_of(row, None, None)
        # A service that depends on itself.
        service = self._keys[int(batch.sources[place])]
        flags, confidence = int(batch.flags[place]), float(batch.confidences[place])
        encoded = wire.renamed(batch.records[place], "", "")
        return DependencyRecord(batch.keys[place], service, service, flags, confidence, encoded)


def can_be_edges(batch: DependencyBatch) -> NDArray[np.bool_]:
    """Mark the rows that can be edges: both ends exist and differ, and every word is known."""
    fits: NDArray[np.bool_] = (batch.sources != batch.targets) & (batch.flags >= 0)
    return fits
