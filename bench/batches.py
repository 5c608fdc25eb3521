"""Batches of dependencies, with something said in every column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.graphs import random_edges
from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1 import types_pb2
from server.domain.dependencies import DependencyDraft

SERVICES, EDGES = 5_000, 200_000
OBSERVED = datetime(2026, 1, 1, tzinfo=UTC)
RETRIES = '{"max_retries": 3, "backoff_strategy": "exponential"}'


@dataclass(frozen=True)
class Batch:
    """``kind`` says what the rows are to the table: new, changed, or unchanged."""

    kind: str
    drafts: Sequence[DependencyDraft]

    def request(self) -> bytes:
        """The same as a request."""
        return pb.BatchUpsertDependenciesRequest(
            dependencies=[_message(draft) for draft in self.drafts]
        ).SerializeToString()


def batches(rows: int, place: int, number: int) -> Iterator[Batch]:
    """The same keys as new, changed and unchanged rows; each ``place`` has other keys, each ``number`` other values."""
    pairs = random_edges("upsert", SERVICES, EDGES).pairs[place * rows : (place + 1) * rows]
    yield Batch("new", [_draft(source, target, 3 * number) for source, target in pairs])
    changed = [_draft(source, target, 3 * number + 1) for source, target in pairs]
    yield Batch("changed", changed)
    yield Batch("unchanged", changed)


def _draft(source: int, target: int, number: int) -> DependencyDraft:
    """Every other one has a configuration of retries."""
    return DependencyDraft(
        source_service_id=f"s{source}",
        target_service_id=f"s{target}",
        communication_mode="sync",
        criticality="soft",
        protocol="grpc",
        timeout_ms=1_000 + number,
        retry_config=RETRIES if source % 2 else None,
        confidence_score=0.5,
        last_observed_at=OBSERVED + timedelta(seconds=number),
    )


def _message(draft: DependencyDraft) -> types_pb2.Dependency:
    message = types_pb2.Dependency(
        source_service_id=draft.source_service_id,
        target_service_id=draft.target_service_id,
        communication_mode=types_pb2.COMMUNICATION_MODE_SYNC,
        criticality=types_pb2.DEPENDENCY_CRITICALITY_SOFT,
        protocol=draft.protocol,
        timeout_ms=draft.timeout_ms,
        retry_config=types_pb2.RetryConfig() if draft.retry_config else None,
        discovery_source=types_pb2.DISCOVERY_SOURCE_MANUAL,
        confidence_score=draft.confidence_score,
    )
    if draft.last_observed_at:
        message.last_observed_time.FromDatetime(draft.last_observed_at)
    return message
