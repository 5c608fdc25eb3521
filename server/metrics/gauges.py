"""What is read at the moment when Prometheus asks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

FEED_STATES = ("warming", "following", "reconnecting")
TRANSPORTS = ("grpcio", "native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The figures of one moment; ``feed_state`` is one of ``FEED_STATES`` and ``transport`` of ``TRANSPORTS``, lengths of time are in seconds."""

    lag_seconds: float
    services: int
    dependencies: int
    stale_dependencies: int
    waiting_dependencies: int
    feed_state: str
    transport: str
    problems: int
    missing_triggers: int
    warms: int
    warm_seconds: float
    steps: int
    changed_rows: int
    reconnects: int
    lock_waits: int
    change_log_rows: int
    pruned_rows: int
    audits: int
    failed_audits: int
    differing_rows: int
    audit_seconds: float
    is_detection_writer: bool
    cyclic_components: int
    detection_age_seconds: float
    detection_rounds: int
    detection_failures: int
    is_sweeper: bool
    sweeps: int
    swept_at: float
    sweep_seconds: float
    marked_stale: int
    decayed: int
    restored: int
    pool_in_use: int
    running_calls: int
    waiting_calls: int
    large_requests_bytes: int
    unsent_bytes: int
    kernels_compiled: bool


_GAUGES = (
    (
        "lag_seconds",
        "depgraph_lag_seconds",
        "Time since the replica last confirmed to be level with the database.",
    ),
    ("services", "depgraph_services", "Services in memory."),
    (
        "dependencies",
        "depgraph_dependencies",
        "Dependencies in memory, stale ones included, waiting ones not.",
    ),
    ("stale_dependencies", "depgraph_stale_dependencies", "Stale dependencies in memory."),
    (
        "waiting_dependencies",
        "depgraph_waiting_dependencies",
        "Dependencies that lack an end and can't join the graph.",
    ),
    ("problems", "depgraph_problems", "Problems that people have to look after; GetStatus tells them."),
    ("missing_triggers", "depgraph_feed_missing_triggers", "Feed triggers missing or not enabled ALWAYS."),
    ("warm_seconds", "depgraph_warm_seconds", "How long the last reading of the whole graph took."),
    (
        "change_log_rows",
        "depgraph_change_log_rows",
        "Rows of the change log after the last pruning, an estimate.",
    ),
    ("audit_seconds", "depgraph_audit_seconds", "How long the last audit took."),
    (
        "is_detection_writer",
        "depgraph_detection_writer",
        "1 when this process keeps the alerts, 0 otherwise.",
    ),
    (
        "cyclic_components",
        "depgraph_cyclic_components",
        "Components of two or more services; 0 unless this process keeps the alerts.",
    ),
    (
        "detection_age_seconds",
        "depgraph_detection_age_seconds",
        "Time since the alerts were last seen to be level with the graph; 0 unless this process keeps them.",
    ),
    (
        "is_sweeper",
        "depgraph_sweeper",
        "1 when this process sweeps what is not observed any more, 0 otherwise.",
    ),
    ("swept_at", "depgraph_last_sweep_timestamp_seconds", "When this process swept last; 0 = never."),
    ("sweep_seconds", "depgraph_sweep_seconds", "How long its last sweep took."),
    ("pool_in_use", "depgraph_pool_connections_in_use", "Database connections that are lent to calls now."),
    ("running_calls", "depgraph_rpc_running_calls", "Calls of the contract that are being answered now."),
    ("waiting_calls", "depgraph_rpc_waiting_calls", "Calls that wait for their turn, others being answered."),
    (
        "large_requests_bytes",
        "depgraph_rpc_large_requests_bytes",
        "Bytes of large requests that are worked on or wait for that.",
    ),
    ("unsent_bytes", "depgraph_rpc_unsent_bytes", "Bytes of answers that wait to be read by their callers."),
    (
        "kernels_compiled",
        "depgraph_kernels_compiled",
        "1 when graph kernels run as machine code, 0 as plain Python.",
    ),
)
_COUNTERS = (
    ("detection_rounds", "depgraph_detection_rounds", "Times that this process wrote alerts."),
    (
        "detection_failures",
        "depgraph_detection_failures",
        "Times that this process had to give up keeping the alerts.",
    ),
    ("warms", "depgraph_warms", "Readings of the whole graph."),
    ("steps", "depgraph_feed_steps", "Steps of the feed."),
    ("changed_rows", "depgraph_feed_changed_rows", "Rows that steps read by key and applied."),
    ("reconnects", "depgraph_feed_reconnects", "Times that the feed's connection was lost or not to be had."),
    ("lock_waits", "depgraph_feed_lock_waits", "Times that the feed stood back for DDL or TRUNCATE."),
    ("pruned_rows", "depgraph_change_log_pruned_rows", "Rows that this replica removed from the change log."),
    ("audits", "depgraph_audits", "Comparisons of memory with the tables."),
    ("failed_audits", "depgraph_audits_failed", "Audits that could not be finished."),
    (
        "differing_rows",
        "depgraph_audit_differing_rows",
        "Rows that audits found to differ; any but 0 is an alarm.",
    ),
    ("sweeps", "depgraph_sweeps", "Sweeps of this process."),
    ("marked_stale", "depgraph_sweep_marked_stale", "Dependencies that they marked stale."),
    ("decayed", "depgraph_sweep_decayed", "Confidences that they wrote because they had decayed."),
    ("restored", "depgraph_sweep_restored", "Confidences that they gave back since they decay no more."),
)


class ReadingsCollector(Collector):
    """Reads once a scrape, on the thread of the scrape: ``read`` must only look at plain numbers."""

    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        readings = self._read()
        for field, name, meaning in _GAUGES:
            yield GaugeMetricFamily(name, meaning, value=getattr(readings, field))
        for field, name, meaning in _COUNTERS:
            yield CounterMetricFamily(name, meaning, value=getattr(readings, field))
        yield _one_of(
            "depgraph_feed_state",
            "1 for how the replica follows the database now.",
            "state",
            FEED_STATES,
            readings.feed_state,
        )
        yield _one_of(
            "depgraph_rpc_transport",
            "1 for the transport that carries the calls.",
            "transport",
            TRANSPORTS,
            readings.transport,
        )


def _one_of(name: str, meaning: str, label: str, known: Sequence[str], now: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for one in known:
        family.add_metric((one,), one == now)
    return family
