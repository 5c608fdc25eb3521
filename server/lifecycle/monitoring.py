"""What operators see of a process: its metrics, each defined once, and the health of reads."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from graphcore.compiling import KERNELS
from server.domain.health import FeedHealth
from server.domain.live_graph import FeedState
from server.feed import Vitals
from server.lifecycle.detection import Detection
from server.replica import Replica
from server.rpc.server import RpcServer
from server.store.database import Database
from server.store.staleness import Sweeper

_TRANSPORTS = ("grpcio", "native")


@dataclass(frozen=True, kw_only=True, eq=False)  # a registry compares collectors by identity
class ProcessCollector(Collector):
    """
    Reads the metrics of one process at each scrape.

    It runs on the thread of the scrape, so it only reads single numbers. Lengths of time are in
    seconds.
    """

    replica: Replica
    vitals: Vitals
    database: Database
    rpc: RpcServer
    sweeper: Sweeper
    detection: Detection
    health: Callable[[], FeedHealth]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._graph()
        yield from self._feed()
        yield from self._change_log()
        yield from self._audits()
        yield from self._detection()
        yield from self._sweeps()
        yield from self._calls()

    def _graph(self) -> Iterator[Metric]:
        graph, status = self.replica.graph, self.replica.status()
        lag = self.replica.freshness().lag.total_seconds()
        yield _gauge("depgraph_lag_seconds", "Time since the replica last caught up with the database.", lag)
        yield _gauge("depgraph_services", "Services in memory.", graph.service_count)
        yield _gauge(
            "depgraph_dependencies",
            "Dependencies in memory, with stale ones and without waiting ones.",
            graph.dependency_count,
        )
        yield _gauge("depgraph_stale_dependencies", "Stale dependencies in memory.", graph.stale_count)
        yield _gauge(
            "depgraph_waiting_dependencies",
            "Dependencies that lack an end and can't join the graph.",
            graph.dangling_count,
        )
        yield _counter("depgraph_warms", "Readings of the whole graph.", status.warm_count)
        yield _gauge(
            "depgraph_warm_seconds",
            "Duration of the last reading of the whole graph.",
            status.warm_duration.total_seconds(),
        )
        yield _gauge(
            "depgraph_kernels_compiled",
            "1 when graph kernels run as machine code, 0 as plain Python.",
            KERNELS.are_compiled,
        )

    def _feed(self) -> Iterator[Metric]:
        vitals, state = self.vitals, self.replica.status().feed_state.value
        yield _state(
            "depgraph_feed_state",
            "1 for how the replica follows the database now.",
            "state",
            [each.value for each in FeedState],
            state,
        )
        yield _gauge(
            "depgraph_problems", "Problems to solve; GetStatus describes them.", len(self.health().problems)
        )
        yield _gauge(
            "depgraph_feed_missing_triggers",
            "Feed triggers missing or not enabled ALWAYS.",
            len(vitals.missing_triggers),
        )
        yield _counter("depgraph_feed_steps", "Steps of the feed.", vitals.steps)
        yield _counter(
            "depgraph_feed_changed_rows", "Rows that steps read by key and applied.", vitals.changed_rows
        )
        yield _counter(
            "depgraph_feed_reconnects", "Times that the feed lost or got no connection.", vitals.disconnects
        )
        yield _counter(
            "depgraph_feed_lock_waits", "Times that the feed gave way to DDL or TRUNCATE.", vitals.lock_waits
        )

    def _change_log(self) -> Iterator[Metric]:
        vitals = self.vitals
        yield _gauge(
            "depgraph_change_log_rows",
            "Rows of the change log after the last pruning, an estimate.",
            vitals.change_log_rows,
        )
        yield _counter(
            "depgraph_change_log_pruned_rows",
            "Rows that this replica removed from the change log.",
            vitals.pruned_rows,
        )

    def _audits(self) -> Iterator[Metric]:
        vitals, last = self.vitals, self.vitals.last_audit
        yield _counter("depgraph_audits", "Comparisons of memory with the tables.", vitals.audits)
        yield _counter("depgraph_audits_failed", "Audits that could not be finished.", vitals.failed_audits)
        yield _counter(
            "depgraph_audit_differing_rows",
            "Rows that audits found to differ; alert on any but 0.",
            vitals.differing_rows,
        )
        yield _gauge(
            "depgraph_audit_seconds",
            "Duration of the last audit.",
            last.duration.total_seconds() if last is not None else 0.0,
        )

    def _detection(self) -> Iterator[Metric]:
        vitals, is_writer = self.detection.vitals, self.detection.is_writer
        yield _gauge(
            "depgraph_detection_writer", "1 when this process keeps the alerts, 0 otherwise.", is_writer
        )
        yield _gauge(
            "depgraph_cyclic_components",
            "Components of two or more services; 0 unless this process keeps the alerts.",
            vitals.cycle_count if is_writer else 0,
        )
        yield _gauge(
            "depgraph_detection_age_seconds",
            "Time since the alerts last matched the graph; 0 unless this process keeps them.",
            vitals.caught_up_age_seconds if is_writer else 0.0,
        )
        yield _counter("depgraph_detection_rounds", "Times that this process wrote alerts.", vitals.rounds)
        yield _counter(
            "depgraph_detection_failures",
            "Times that this process had to give up keeping the alerts.",
            vitals.failures,
        )

    def _sweeps(self) -> Iterator[Metric]:
        sweeper = self.sweeper
        yield _gauge(
            "depgraph_sweeper",
            "1 when this process sweeps dependencies that are not observed any more, 0 otherwise.",
            sweeper.is_running,
        )
        yield _counter("depgraph_sweeps", "Sweeps of this process.", sweeper.sweeps)
        yield _gauge(
            "depgraph_last_sweep_timestamp_seconds",
            "Time of the last sweep of this process; 0 = never.",
            sweeper.swept_at,
        )
        yield _gauge("depgraph_sweep_seconds", "Duration of its last sweep.", sweeper.took_seconds)
        yield _counter(
            "depgraph_sweep_marked_stale", "Dependencies that sweeps marked stale.", sweeper.marked
        )
        yield _counter("depgraph_sweep_decayed", "Confidences that sweeps lowered.", sweeper.decayed)
        yield _counter(
            "depgraph_sweep_restored",
            "Confidences that sweeps restored because they decay no more.",
            sweeper.restored,
        )

    def _calls(self) -> Iterator[Metric]:
        rpc, load = self.rpc, self.rpc.load
        yield _state(
            "depgraph_rpc_transport",
            "1 for the transport that carries the calls.",
            "transport",
            _TRANSPORTS,
            rpc.transport,
        )
        yield _gauge(
            "depgraph_pool_connections_in_use",
            "Database connections that calls hold now.",
            self.database.connections_in_use,
        )
        yield _gauge(
            "depgraph_rpc_running_calls",
            "Calls of the contract that are being answered now.",
            rpc.running_calls,
        )
        yield _gauge(
            "depgraph_rpc_waiting_calls",
            "Calls that wait while others are being answered.",
            load.waiting_calls,
        )
        yield _gauge(
            "depgraph_rpc_large_requests_bytes",
            "Bytes of large requests that are being answered or wait for that.",
            load.requests_bytes,
        )
        yield _gauge(
            "depgraph_rpc_unsent_bytes",
            "Bytes of answers that their callers have not read yet.",
            load.unsent_bytes,
        )


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _counter(name: str, documentation: str, value: float) -> Metric:
    return CounterMetricFamily(name, documentation, value=value)


def _state(name: str, documentation: str, label: str, known: Iterable[str], now: str) -> Metric:
    """Make a gauge for each known state: 1 for the present one, 0 for the others."""
    family = GaugeMetricFamily(name, documentation, labels=(label,))
    for state in known:
        family.add_metric((state,), state == now)
    return family


async def sync_health(vitals: Vitals, rpc: RpcServer) -> None:
    """Report reads as unhealthy while memory can't be trusted; runs until cancelled."""
    while True:
        rpc.set_trusted(trusted=vitals.trusted)
        await vitals.trust_changed()
