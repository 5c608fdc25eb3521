"""GetStatus: size and freshness of the graph, health of the server."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1 import types_pb2
from graphcore import DependencyGraph
from server.domain.changes import Ingestion
from server.domain.detection import DetectionRole, DetectionStatus
from server.domain.errors import NotReadyError
from server.domain.live_graph import FeedHealth, FeedState, Freshness, MemoryAudit, Peers, ReplicaStatus
from server.domain.reports import Reporter
from server.rpc.answers import duration, source_message, timestamp
from server.wire.columns import DISCOVERY_SOURCE, EnumWords

_FEED_STATE: EnumWords[str, pb.FeedState.ValueType] = EnumWords(
    pb.FeedState, [state.value for state in FeedState]
)
_DETECTION_ROLE: EnumWords[str, pb.DetectionRole.ValueType] = EnumWords(
    pb.DetectionRole, [role.value for role in DetectionRole]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What GetStatus reports beside the graph: this process, its peers, feed and detection."""

    started_at: datetime
    version: str
    transport: str = ""
    health: Callable[[], FeedHealth] = FeedHealth
    peers: Peers = field(default_factory=Peers)
    detection: Callable[[], DetectionStatus] = DetectionStatus
    reporters: Callable[[], Sequence[Reporter]] = tuple

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Add the feed's problems to a ``NotReadyError`` that is raised in the context."""
        try:
            yield
        except NotReadyError as error:
            unsaid = [problem for problem in self.health().problems if problem not in error.message]
            raise NotReadyError("; ".join([error.message, *unsaid])) from None

    def message(
        self, graph: DependencyGraph, replica: ReplicaStatus, freshness: Freshness
    ) -> pb.GetStatusResponse:
        """Write the answer."""
        health = self.health()
        return pb.GetStatusResponse(
            service_count=graph.service_count,
            dependency_count=graph.dependency_count,
            stale_dependency_count=graph.stale_count,
            waiting_dependency_count=graph.dangling_count,
            feed_state=_FEED_STATE.number[replica.feed_state.value],
            warm_duration=duration(replica.warm_duration),
            warm_count=replica.warm_count,
            last_ingestions=map(_ingestion, replica.ingestions),
            server_version=self.version,
            transport=self.transport,
            start_time=timestamp(self.started_at),
            freshness=types_pb2.Freshness(revision=freshness.revision, lag=duration(freshness.lag)),
            problems=health.problems,
            last_audit=None if health.last_audit is None else _audit(health.last_audit),
            change_log_rows=health.change_log_rows,
            worker=self.peers.number,
            worker_count=self.peers.count,
            detection=_detection(self.detection()),
            sources=map(source_message, self.reporters()),
        )


def _ingestion(value: Ingestion) -> pb.Ingestion:
    return pb.Ingestion(
        discovery_source=DISCOVERY_SOURCE.number[value.discovery_source],
        observe_time=timestamp(value.observed_at),
        ingest_time=timestamp(value.ingested_at),
    )


def _audit(value: MemoryAudit) -> pb.Audit:
    return pb.Audit(
        audit_time=timestamp(value.began_at),
        duration=duration(value.duration),
        differing_rows=value.differing_rows,
    )


def _detection(value: DetectionStatus) -> pb.Detection:
    return pb.Detection(
        role=_DETECTION_ROLE.number[value.role.value],
        revision=value.revision,
        write_time=None if value.written_at is None else timestamp(value.written_at),
        cycle_count=value.cycle_count,
    )
