"""Settings of the server: frozen, read from flags and environment in one place (``server.cli.settings``)."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

MIB = 1024 * 1024


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
    up or down (0 = never), ``trigger_interval`` how often the feed triggers are looked at.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    step_timeout: timedelta = timedelta(seconds=10)
    keep_log: timedelta = timedelta(minutes=15)
    max_log_rows: int = 2_000_000
    prune_interval: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(seconds=10)
    audit_interval: timedelta = timedelta(minutes=10)
    trigger_interval: timedelta = timedelta(seconds=5)


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
class Limits:
    """Sizes in bytes, ``grace`` the time that running calls get at shutdown."""

    max_request_bytes: int = 16 * MIB
    max_response_bytes: int = 4 * MIB
    max_part_bytes: int = 1 * MIB
    max_batch_items: int = 10_000
    grace: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Everything ``depgraph serve`` can be told.

    ``database_url`` None = the embedded PostgreSQL in ``data_dir``; ``metrics_listen`` None = no metrics. ``workers`` above 1 = so many
    processes that share ``listen``, each with a replica of its own, and one above them. ``kernel_cache`` = the first folder to look for compiled kernels and to keep
    them in; None = the usual ones.
    """

    listen: str = "127.0.0.1:50051"
    database_url: str | None = None
    data_dir: Path = Path(".depgraph")
    seed_file: Path | None = None
    migrate: bool = True
    metrics_listen: str | None = None
    workers: int = 1
    kernel_cache: Path | None = None
    pool: PoolSettings = field(default_factory=PoolSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    limits: Limits = field(default_factory=Limits)
