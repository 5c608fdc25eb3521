"""Batches of a snapshot, made of rows one by one: what a COPY stream of the same rows must give."""

import numpy as np

from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import KIND_BITS, DependencyBatch, ServiceBatch, flags_of
from server.domain.services import Service


def service_batch(rows: list[Service]) -> ServiceBatch:
    """Make a batch of rows."""
    return ServiceBatch(
        keys=[row.id.bytes for row in rows],
        names=[row.service_id for row in rows],
        records=[wire.service_record(row) for row in rows],
        encoded_ids=[wire.encoded_id(row.service_id) for row in rows],
        kinds=[KIND_BITS.get(row.kind, 0) for row in rows],
    )


def dependency_batch(
    rows: list[DependencyRow], names: list[str], places: dict[bytes, int]
) -> DependencyBatch:
    """Make a batch of rows; ``names`` are those of all services, ``places`` their places by key."""
    sources = [places.get(row.source.bytes, -1) for row in rows]
    targets = [places.get(row.target.bytes, -1) for row in rows]
    flags = [flags_of(row) for row in rows]
    strays = {
        place: row
        for place, row in enumerate(rows)
        if flags[place] is None or sources[place] < 0 or targets[place] < 0
    }
    return DependencyBatch(
        keys=[row.id.bytes for row in rows],
        sources=np.array(sources, np.int32),
        targets=np.array(targets, np.int32),
        flags=np.array([-1 if place in strays else flag for place, flag in enumerate(flags)], np.int32),
        confidences=np.array([row.confidence_score for row in rows], np.float64),
        records=[
            wire.dependency_record(
                row, "" if source < 0 else names[source], "" if target < 0 else names[target]
            )
            for row, source, target in zip(rows, sources, targets, strict=True)
        ],
        strays=strays,
    )
