"""What readers of COPY streams should find, made row by row."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any

from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import flags_of
from server.domain.services import Service


def service_columns(rows: Iterable[Service]) -> list[tuple[Any, ...]]:
    """What batches of services hold, row by row."""
    return [
        (row.id.bytes, row.service_id, wire.service_record(row), wire.encoded_id(row.service_id))
        for row in rows
    ]


def read_services(batches: Iterable[wire.ServiceBatch]) -> list[tuple[Any, ...]]:
    """What they do hold."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        found += zip(batch.keys, batch.names, batch.records, batch.encoded_ids, strict=True)
    return found


def dependency_columns(rows: Iterable[DependencyRow], services: Sequence[Service]) -> list[tuple[Any, ...]]:
    """What batches of dependencies hold, row by row, and the row itself where it can be no edge."""
    nodes = {row.id: node for node, row in enumerate(services)}
    names = {row.id: row.service_id for row in services}
    found = []
    for row in rows:
        source, target, flags = nodes.get(row.source, -1), nodes.get(row.target, -1), flags_of(row)
        is_edge = flags is not None and source >= 0 and target >= 0
        record = wire.dependency_record(row, names.get(row.source, ""), names.get(row.target, ""))
        confidence: float | None = row.confidence_score
        found.append(
            (
                row.id.bytes,
                source,
                target,
                flags if is_edge else -1,
                "nan" if confidence is None or isnan(confidence) else confidence,
                record,
                None if is_edge else _comparable(row),
            )
        )
    return found


def read_dependencies(batches: Iterable[wire.DependencyBatch]) -> list[tuple[Any, ...]]:
    """What they do hold."""
    found: list[tuple[Any, ...]] = []
    for batch in batches:
        strays = [_comparable(batch.strays.get(position)) for position in range(len(batch.keys))]
        scores = ["nan" if isnan(score) else score for score in batch.confidences.tolist()]
        ends = (batch.sources.tolist(), batch.targets.tolist(), batch.flags.tolist())
        found += zip(batch.keys, *ends, scores, batch.records, strays, strict=True)
    return found


def _comparable(row: DependencyRow | None) -> tuple[Any, ...] | None:
    # NaN is not equal to itself.
    return row and tuple("nan" if value != value else value for value in row)  # noqa: PLR0124
