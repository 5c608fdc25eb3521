"""Settings of the server: frozen, read from flags and environment in one place (``server.cli.options``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from server.domain.dependencies import DiscoverySource

KIB = 1024
MIB = 1024 * KIB

TransportName = Literal["auto", "grpcio", "native"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Connections that writes and lists share."""

    size: int = 20
    burst: int = 10
    recycle_after: timedelta = timedelta(hours=1)
    acquire_timeout: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """
    How the replica follows the database.

    ``poll_interval`` is how often it looks unasked (the fallback for lost wake-ups), ``step_timeout`` the longest wait for one
    round trip before the connection counts as dead, ``keep_log`` the age up to which changes stay in the log for replicas that
    were away, unless there are more than ``max_log_rows``, ``prune_interval`` how often older ones are removed. ``longest_wait`` bounds
    a read that waits for freshness and gave no deadline. ``audit_interval`` is how often memory is compared with the tables, half of it
    up or down (0 = never), ``reread_interval`` the shortest time after
    which everything is read again while feed triggers are missing, so that changes go unseen.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    step_timeout: timedelta = timedelta(seconds=10)
    keep_log: timedelta = timedelta(minutes=15)
    max_log_rows: int = 2_000_000
    prune_interval: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(seconds=10)
    audit_interval: timedelta = timedelta(minutes=10)
    reread_interval: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """
    Streams of changes.

    ``heartbeat`` is sent after so long without a change. A watcher for whom more than ``max_pending_rows`` changed rows wait is
    dropped; the rows are shared, so this bounds the memory of all slow watchers together (some 100 MB).
    """

    heartbeat: timedelta = timedelta(seconds=5)
    max_pending_rows: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessSettings:
    """
    What becomes of dependencies that are not observed any more, by who discovered them.

    ``stale_after`` is the age of the last observation from which on one is stale, ``half_life`` the time in which its confidence halves. A source
    that is not there, or None, is left alone: its dependencies never become stale, and have the confidence reported. ``sweep_interval`` is how
    often that is looked after.
    """

    stale_after: Mapping[DiscoverySource, timedelta | None] = field(default_factory=dict)
    half_life: Mapping[DiscoverySource, timedelta | None] = field(default_factory=dict)
    sweep_interval: timedelta = timedelta(minutes=1)

    @property
    def is_active(self) -> bool:
        """Whether anything is said of any source, be it that its confidence decays no more."""
        return bool(self.stale_after or self.half_life)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """
    How alerts follow the graph.

    ``enabled`` False = this process never writes any. Dependencies of less than ``min_confidence`` make no cycles. ``reconcile_interval`` is how
    often all alerts are compared with the graph, a quarter of it up or down, ``takeover_interval`` how often a process that could keep the alerts looks
    whether it has to.
    """

    enabled: bool = True
    min_confidence: float = 0.0
    reconcile_interval: timedelta = timedelta(minutes=1)
    takeover_interval: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What callers may take of a process, sizes in bytes; docs/operations.md has the reasons.

    A request may have ``max_request_bytes`` if its message holds lists, ``max_metadata_request_bytes`` if it holds free-form metadata, and
    ``max_question_bytes`` otherwise; large ones that wait or are worked on have ``max_requests_bytes`` together. ``max_unsent_bytes`` are those of
    answers that are made and not sent. ``max_concurrent_calls`` counts calls with one answer from their start until it is made,
    ``max_streaming_calls`` those with a stream of answers. ``grace`` is the time that running calls get at shutdown.
    """

    max_question_bytes: int = 64 * KIB
    max_metadata_request_bytes: int = 2 * MIB
    max_request_bytes: int = 4 * MIB
    max_requests_bytes: int = 64 * MIB
    max_items: int = 10_000
    max_response_bytes: int = 4 * MIB
    max_part_bytes: int = 1 * MIB
    max_unsent_bytes: int = 512 * MIB
    max_unsent_bytes_per_connection: int = 64 * MIB
    max_concurrent_calls: int = 1_000
    max_streaming_calls: int = 1_000
    max_streams_per_connection: int = 100
    max_connections: int = 1_000
    connection_idle_timeout: timedelta = timedelta(minutes=10)
    grace: timedelta = timedelta(seconds=30)


def flag(limit: str) -> str:
    """Tell by which flag of ``depgraph serve`` a limit is set: that of ``request_bytes`` is ``--max-request-bytes``."""
    return f"--max-{limit.replace('_', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Everything ``depgraph serve`` can be told.

    ``database_url`` None = the embedded PostgreSQL in ``data_dir``; ``metrics_listen`` None = no metrics. ``workers`` above 1 = so many
    processes that share ``listen``, each with a replica of its own, and one above them; one of them that serves and does not answer for
    ``worker_timeout`` is killed and started again. ``transport`` is what carries calls; docs/transport.md has the choice. ``kernel_cache`` = the first folder to look for compiled kernels and to keep
    them in; None = the usual ones.
    """

    listen: str = "127.0.0.1:50051"
    transport: TransportName = "auto"
    database_url: str | None = None
    data_dir: Path = Path(".depgraph")
    seed_file: Path | None = None
    migrate: bool = True
    metrics_listen: str | None = None
    workers: int = 1
    worker_timeout: timedelta = timedelta(seconds=5)
    kernel_cache: Path | None = None
    pool: PoolSettings = field(default_factory=PoolSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    staleness: StalenessSettings = field(default_factory=StalenessSettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    limits: Limits = field(default_factory=Limits)
