"""Settings of the server; ``server.cli.options`` reads them from flags and environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from server.domain.dependencies import DiscoverySource

KIB = 1024
MIB = 1024 * KIB

TransportName = Literal["auto", "grpcio", "native"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """The connections of calls that write or list."""

    size: int = 30
    recycle_after: timedelta = timedelta(hours=1)
    acquire_timeout: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """
    How the replica follows the database.

    - ``poll_interval``: how often it looks for changes without a notification, if one was lost.
    - ``step_timeout``: the longest wait for a round trip before the connection counts as dead.
    - ``keep_log``: the age to which the change log keeps rows for replicas that were away.
    - ``max_log_rows``: the change log keeps no more rows than this.
    - ``prune_interval``: how often rows beyond these bounds are removed.
    - ``longest_wait``: the bound of a read that waits for freshness and has no deadline.
    - ``audit_interval``: how often memory is compared with the tables, ± half (0 = never).
    - ``reread_interval``: the shortest time between two readings of the whole graph while feed
      triggers are missing, since changes are not seen then.
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

    - ``heartbeat``: the time without a change after which a heartbeat is sent.
    - ``max_pending_rows``: a watcher that is further behind is dropped. Watchers share the rows, so
      this bounds the memory of all slow watchers together (some 100 MB).
    """

    heartbeat: timedelta = timedelta(seconds=5)
    max_pending_rows: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StalenessSettings:
    """
    What becomes of dependencies that are not observed any more, by discovery source.

    - ``stale_after``: the age of the last observation from which on a dependency is stale.
    - ``half_life``: the time in which its confidence halves.
    - ``remove_after``: the age of the last observation from which on a stale one is removed.
    - ``sweep_interval``: how often a process looks for such dependencies.

    Dependencies of a source that is missing or None keep their confidence, are never stale, and
    stay.
    """

    stale_after: Mapping[DiscoverySource, timedelta | None] = field(default_factory=dict)
    half_life: Mapping[DiscoverySource, timedelta | None] = field(default_factory=dict)
    remove_after: Mapping[DiscoverySource, timedelta | None] = field(default_factory=dict)
    sweep_interval: timedelta = timedelta(minutes=1)

    def granularity(self, source: DiscoverySource, wanted: timedelta) -> timedelta:
        """
        Return how exactly observations of a source are kept, at most as coarsely as ``wanted``.

        It is a quarter of ``stale_after`` and a tenth of ``half_life`` at the most: dependencies in
        use then never become stale, or lose confidence, for want of a renewal.
        """
        stale_after, half_life = self.stale_after.get(source), self.half_life.get(source)
        bounds = (wanted, stale_after and stale_after / 4, half_life and half_life / 10)
        return min(bound for bound in bounds if bound is not None)

    @property
    def is_active(self) -> bool:
        """Whether any source has a setting, even None."""
        return bool(self.stale_after or self.half_life or self.remove_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """
    How alerts follow the graph.

    - ``enabled``: False = this process never writes alerts.
    - ``min_confidence``: dependencies of less make no cycles.
    - ``reconcile_interval``: how often all alerts are compared with the graph, ± a quarter.
    - ``takeover_interval``: how often a standby checks whether it has to keep the alerts.
    """

    enabled: bool = True
    min_confidence: float = 0.0
    reconcile_interval: timedelta = timedelta(minutes=1)
    takeover_interval: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What callers may take of a process, sizes in bytes; docs/operations.md has the reasons.

    - ``max_question_bytes``: the size of a request without lists and free-form metadata.
    - ``max_metadata_request_bytes``: the size of a request with free-form metadata.
    - ``max_request_bytes``: the size of a request with lists.
    - ``max_otlp_request_bytes``: the size of a request with metrics of OTLP.
    - ``max_otlp_series``: the series of OTLP whose last value is kept.
    - ``max_requests_bytes``: all large requests together that wait or are being answered.
    - ``max_unsent_bytes``: all answers that are made and not sent.
    - ``max_concurrent_calls``: calls with one answer, from their start until the answer is made.
    - ``max_streaming_calls``: calls with a stream of answers.
    - ``max_concurrent_analyses``: analyses and pictures, which count as calls or streams, too.
    - ``max_watches``: watches of the graph, which count as streams, too.
    - ``max_streams_per_principal``: streams of one caller.
    - ``rate_limit``: calls a second of one caller; None = any number.
    - ``rate_burst``: calls of one caller at once after a rest; None = those of a second.
    - ``grace``: the time that running calls get at shutdown.
    """

    max_question_bytes: int = 64 * KIB
    max_metadata_request_bytes: int = 2 * MIB
    max_request_bytes: int = 4 * MIB
    max_otlp_request_bytes: int = 12 * MIB
    max_otlp_series: int = 250_000
    max_requests_bytes: int = 64 * MIB
    max_items: int = 10_000
    max_response_bytes: int = 4 * MIB
    max_part_bytes: int = 1 * MIB
    max_unsent_bytes: int = 512 * MIB
    max_unsent_bytes_per_connection: int = 64 * MIB
    max_concurrent_calls: int = 1_000
    max_streaming_calls: int = 1_000
    max_concurrent_analyses: int = 16
    max_watches: int = 500
    max_streams_per_principal: int = 100
    rate_limit: float | None = None
    rate_burst: int | None = None
    max_streams_per_connection: int = 100
    max_connections: int = 1_000
    connection_idle_timeout: timedelta = timedelta(minutes=10)
    grace: timedelta = timedelta(seconds=30)


def flag(limit: str) -> str:
    """Name the flag that sets a limit: ``--max-request-bytes`` for ``request_bytes``."""
    return f"--max-{limit.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Addresses:
    """
    Where a server listens, ``HOST:PORT`` or ``unix:PATH``; empty = nowhere.

    - ``plain``: for calls in plaintext.
    - ``tls``: for calls with TLS.
    - ``health``: for probes, which ask nothing but health, in plaintext.
    - ``http``: for JSON over HTTP and the console; ``is_https`` = with TLS.
    """

    plain: str = ""
    tls: str = ""
    health: str = ""
    http: str = ""
    is_https: bool = False

    def __str__(self) -> str:
        kinds = ((self.tls, "TLS"), (self.health, "health"), (self.console, "console"))
        named = (self.plain, *(address and f"{address} ({kind})" for address, kind in kinds))
        return ", ".join(filter(None, named))

    @property
    def console(self) -> str:
        """The console as a URL that a browser opens; empty = there is none."""
        return self.http and f"{'https' if self.is_https else 'http'}://{self.http}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """
    The files of the address with TLS, in PEM form; they are read again when they change.

    - ``client_ca``: authorities of which clients need a certificate; None = they need none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """
    Who may do what; docs/security.md describes it.

    - ``auth_file``: None = every caller may do everything.
    - ``trusted_proxies``: addresses, networks or ``unix``, whose word for clients counts.
    - ``reflection``: whether callers may ask for the contract, without a credential.
    """

    auth_file: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    reflection: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """How long former states can be asked for (0 = no history), and how often they are marked."""

    keep: timedelta = timedelta(days=90)
    mark_interval: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Everything that ``depgraph serve`` can be configured with.

    - ``database_url``: None = the embedded PostgreSQL in ``data_dir``.
    - ``listen``, ``tls_listen``, ``health_listen``, ``http_listen``: see ``Addresses``; ``tls`` has
      the files. ``http_hosts`` are the names by which browsers know the server, beside addresses.
    - ``transport``: what carries calls in plaintext; docs/transport.md has the choice.
    - ``metrics_listen``: None = no metrics.
    - ``tracing``: a span of each call goes where OpenTelemetry's environment variables say.
    - ``workers``: more than 1 = so many processes share ``listen``, each with a replica of its own,
      under a supervisor. A worker that does not answer for ``worker_timeout`` is restarted.
    - ``keep_writes``: how long the account of writes keeps them (0 = none is kept).
    - ``sources``: the file that says what to pull from where; None = nothing.
    - ``kernel_cache``: the first folder for compiled kernels; None = the usual folders.
    """

    listen: str = "127.0.0.1:50051"
    tls_listen: str = ""
    tls: TlsSettings | None = None
    health_listen: str = ""
    http_listen: str = ""
    http_hosts: tuple[str, ...] = ()
    access: AccessSettings = field(default_factory=AccessSettings)
    transport: TransportName = "auto"
    database_url: str | None = None
    data_dir: Path = Path(".depgraph")
    seed_file: Path | None = None
    migrate: bool = True
    metrics_listen: str | None = None
    tracing: bool = False
    workers: int = 1
    worker_timeout: timedelta = timedelta(seconds=5)
    keep_writes: timedelta = timedelta(days=90)
    sources: Path | None = None
    kernel_cache: Path | None = None
    pool: PoolSettings = field(default_factory=PoolSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    staleness: StalenessSettings = field(default_factory=StalenessSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    limits: Limits = field(default_factory=Limits)

    @property
    def addresses(self) -> Addresses:
        """Where the server listens."""
        return Addresses(
            self.listen,
            self.tls_listen,
            self.health_listen,
            self.http_listen,
            is_https=bool(self.http_listen) and self.tls is not None,
        )

    def at(self, addresses: Addresses) -> "Settings":
        """Return the same settings with other addresses."""
        return replace(
            self,
            listen=addresses.plain,
            tls_listen=addresses.tls,
            health_listen=addresses.health,
            http_listen=addresses.http,
        )
