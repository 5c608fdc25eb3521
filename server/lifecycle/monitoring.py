"""What operators see of a process: its metrics, each defined once, and the health of reads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import grpc
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from graphcore.compiling import KERNELS
from server.domain.live_graph import FeedHealth, FeedState
from server.domain.reports import Reporter
from server.feed import Vitals
from server.lifecycle.detection import Detection
from server.replica import Replica
from server.rpc.call_counts import SECONDS
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.server import RpcServer
from server.store.database import Database
from server.store.marks import Marker
from server.store.staleness import Sweeper

# How the libraries for Go write them, and so the dashboards.
_CODES = {code.name: code.name.title().replace("_", "") for code in grpc.StatusCode} | {
    "OK": "OK",
    "CANCELLED": "Canceled",
}
_BOUNDS = (*(f"{bound:g}" for bound in SECONDS), "+Inf")


@dataclass(frozen=True, kw_only=True, eq=False)  # a registry compares collectors by identity
class ServerCollector(Collector):
    """Reads single numbers of one process on the thread of each scrape; times are in seconds."""

    replica: Replica
    vitals: Vitals
    database: Database
    rpc: RpcServer
    otlp: OtlpReceiver
    sweeper: Sweeper
    marker: Marker
    detection: Detection
    reporters: Callable[[], Sequence[Reporter]]
    health: Callable[[], FeedHealth]

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self._graph()
        yield from self._feed()
        yield from self._audits()
        yield from self._detection()
        yield from self._sweeps()
        yield from self._history()
        yield from self._calls()
        yield from self._load()
        yield from self._otlp()
        yield from self._reporters()

    def _graph(self) -> Iterator[Metric]:
        graph, status = self.replica.graph, self.replica.status()
        lag, warm = self.replica.freshness().lag, status.warm_duration
        yield from _gauges(
            depgraph_lag_seconds=(lag.total_seconds(), "Time since the replica last caught up."),
            depgraph_services=(graph.service_count, "Services in memory."),
            depgraph_dependencies=(graph.dependency_count, "Dependencies in the graph, stale ones included."),
            depgraph_stale_dependencies=(graph.stale_count, "Stale dependencies in the graph."),
            depgraph_waiting_dependencies=(graph.dangling_count, "Dependencies that wait for a service."),
            depgraph_warm_seconds=(warm.total_seconds(), "Duration of the last reading of the whole graph."),
            depgraph_kernels_compiled=(
                KERNELS.are_compiled,
                "1 = kernels are machine code, 0 = plain Python.",
            ),
        )
        yield from _counters(depgraph_warms=(status.warm_count, "Readings of the whole graph."))

    def _feed(self) -> Iterator[Metric]:
        vitals, state, problems = self.vitals, self.replica.status().feed_state, self.health().problems
        states = {each.value: each is state for each in FeedState}
        yield _states("depgraph_feed_state", "1 for how the replica follows the database.", "state", states)
        yield from _gauges(
            depgraph_problems=(len(problems), "Problems to solve; GetStatus describes them."),
            depgraph_feed_missing_triggers=(
                len(vitals.missing_triggers),
                "Triggers missing or not ALWAYS on.",
            ),
            depgraph_change_log_rows=(vitals.change_log_rows, "Estimated rows after the last pruning."),
        )
        yield from _counters(
            depgraph_feed_steps=(vitals.steps, "Steps of the feed."),
            depgraph_feed_changed_rows=(vitals.changed_rows, "Rows that steps read by key and applied."),
            depgraph_feed_reconnects=(vitals.disconnects, "Times that the feed lost or got no connection."),
            depgraph_feed_lock_waits=(vitals.lock_waits, "Times that the feed gave way to DDL or TRUNCATE."),
            depgraph_change_log_pruned_rows=(vitals.pruned_rows, "Rows that this replica removed."),
        )

    def _audits(self) -> Iterator[Metric]:
        vitals, last = self.vitals, self.vitals.last_audit
        seconds = last.duration.total_seconds() if last is not None else 0.0
        yield from _gauges(depgraph_audit_seconds=(seconds, "Duration of the last audit."))
        yield from _counters(
            depgraph_audits=(vitals.audits, "Comparisons of memory with the tables."),
            depgraph_audits_failed=(vitals.failed_audits, "Audits that could not be finished."),
            depgraph_audit_differing_rows=(vitals.differing_rows, "Rows that differed; alert on any but 0."),
        )

    def _detection(self) -> Iterator[Metric]:
        """Yield what this process knows of the alerts; gauges are 0 unless it keeps them."""
        vitals, is_writer = self.detection.vitals, self.detection.is_writer
        cycles = vitals.cycle_count if is_writer else 0
        age = vitals.caught_up_age_seconds if is_writer else 0.0
        yield from _gauges(
            depgraph_detection_writer=(is_writer, "1 when this process keeps the alerts, 0 otherwise."),
            depgraph_cyclic_components=(cycles, "Components of two or more services, in the writer."),
            depgraph_detection_age_seconds=(age, "Time since the alerts matched the graph, in the writer."),
        )
        yield from _counters(
            depgraph_detection_rounds=(vitals.rounds, "Times that this process wrote alerts."),
            depgraph_detection_failures=(vitals.failures, "Times that it had to give up keeping the alerts."),
        )

    def _sweeps(self) -> Iterator[Metric]:
        sweeper = self.sweeper
        yield from _gauges(
            depgraph_sweeper=(sweeper.is_running, "1 when this process marks dependencies stale."),
            depgraph_last_sweep_timestamp_seconds=(sweeper.swept_at, "Time of its last sweep; 0 = never."),
            depgraph_sweep_seconds=(sweeper.took_seconds, "Duration of its last sweep."),
        )
        yield from _counters(
            depgraph_sweeps=(sweeper.sweeps, "Sweeps of this process."),
            depgraph_sweep_marked_stale=(sweeper.marked, "Dependencies that sweeps marked stale."),
            depgraph_sweep_decayed=(sweeper.decayed, "Confidences that sweeps lowered."),
            depgraph_sweep_restored=(sweeper.restored, "Confidences restored that decay no more."),
            depgraph_sweep_removed_dependencies=(sweeper.removed, "Stale dependencies removed."),
            depgraph_sweep_removed_services=(
                sweeper.removed_services,
                "Discovered services removed that had no dependency.",
            ),
        )

    def _history(self) -> Iterator[Metric]:
        marker = self.marker
        yield from _gauges(
            depgraph_history_marker=(marker.is_running, "1 when this process marks the history."),
            depgraph_last_mark_timestamp_seconds=(marker.marked_at, "Time of its last mark; 0 = never."),
        )
        yield from _counters(
            depgraph_history_marks=(marker.marks, "Marks that this process made in the history."),
            depgraph_history_pruned_entries=(marker.pruned, "Entries that it removed from the history."),
        )

    def _reporters(self) -> Iterator[Metric]:
        """Yield how each reporter's last report went; many processes say the same of them."""
        labels = ("reporter", "discovery_source")
        age = GaugeMetricFamily(
            "depgraph_source_last_success_age_seconds",
            "Time since the last report of a reporter was taken in; missing = there was none.",
            labels=labels,
        )
        silent = GaugeMetricFamily(
            "depgraph_source_silent", "1 when three intervals have passed without a report.", labels=labels
        )
        failing = GaugeMetricFamily(
            "depgraph_source_failing", "1 when the last attempt to report failed.", labels=labels
        )
        elements = GaugeMetricFamily(
            "depgraph_source_elements", "Elements that the last report was made of.", labels=labels
        )
        skipped = GaugeMetricFamily(
            "depgraph_source_skipped_elements", "Those of them that could not be used.", labels=labels
        )
        for each in self.reporters():
            named = (each.reporter, each.discovery_source)
            if each.success_age is not None:
                age.add_metric(named, each.success_age.total_seconds())
            silent.add_metric(named, each.is_silent)
            failing.add_metric(named, bool(each.last_error))
            elements.add_metric(named, each.element_count)
            skipped.add_metric(named, each.skipped_count)
        yield from (age, silent, failing, elements, skipped)

    def _calls(self) -> Iterator[Metric]:
        """Yield what stock dashboards of gRPC servers show, by its usual names and labels."""
        labels = ("grpc_type", "grpc_service", "grpc_method")
        started = CounterMetricFamily("grpc_server_started", "Calls that have begun.", labels=labels)
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls that are over, by status code.", labels=(*labels, "grpc_code")
        )
        seconds = HistogramMetricFamily(
            "grpc_server_handling_seconds", "Duration of calls that are over.", labels=labels
        )
        for calls in self.rpc.counts:
            of_method = (calls.call_type, calls.service, calls.method)
            # Ends first: a call that begins and ends meanwhile must not have ended only.
            for code, count in tuple(calls.ended.items()):
                handled.add_metric((*of_method, _CODES[code]), count)
            buckets, total = tuple(accumulate(calls.buckets)), calls.total_seconds
            if buckets[-1]:
                seconds.add_metric(of_method, tuple(zip(_BOUNDS, buckets, strict=True)), total)
            started.add_metric(of_method, calls.started)
        refused = CounterMetricFamily(
            "depgraph_rpc_refused",
            "Calls that met a limit, by its name: --max-request-bytes sets request_bytes.",
            labels=("limit",),
        )
        for limit, count in tuple(self.rpc.counts.refused.items()):
            refused.add_metric((limit,), count)
        yield from (started, handled, seconds, refused)

    def _load(self) -> Iterator[Metric]:
        rpc, load, in_use = self.rpc, self.rpc.load, self.database.connections_in_use
        transports = {each: each == rpc.transport for each in ("grpcio", "native")}
        yield _states("depgraph_rpc_transport", "1 for what carries the calls.", "transport", transports)
        yield from _gauges(
            depgraph_serving=(rpc.is_serving, "1 while calls are answered, as the health check says."),
            depgraph_pool_connections_in_use=(in_use, "Database connections that calls hold now."),
            depgraph_rpc_running_calls=(rpc.running_calls, "Calls of the contract in progress."),
            depgraph_rpc_waiting_calls=(load.waiting_calls, "Calls that wait while others are answered."),
            depgraph_rpc_large_requests_bytes=(load.requests_bytes, "Bytes of large requests in progress."),
            depgraph_rpc_unsent_bytes=(load.unsent_bytes, "Bytes of answers that callers have not read."),
        )

    def _otlp(self) -> Iterator[Metric]:
        tally = self.otlp.tally
        skipped, rejected = tally.skipped.total(), tally.rejected.total()
        points = CounterMetricFamily(
            "depgraph_otlp_points",
            "Points of OTLP: observed ones show that a dependency was used, unchanged ones do not.",
            labels=("outcome",),
        )
        points.add_metric(("observed",), tally.observed)
        points.add_metric(("unchanged",), tally.points - tally.observed - skipped - rejected)
        points.add_metric(("skipped",), skipped)
        points.add_metric(("rejected",), rejected)
        yield points
        yield from _gauges(
            depgraph_otlp_series=(self.otlp.series_kept, "Series of OTLP whose last value is kept."),
            depgraph_otlp_waiting_calls=(
                self.otlp.waiting,
                "Calls that OTLP showed and that wait to be written.",
            ),
        )


def _gauges(**metrics: tuple[float, str]) -> Iterator[Metric]:
    for name, (value, documentation) in metrics.items():
        yield GaugeMetricFamily(name, documentation, value=value)


def _counters(**metrics: tuple[float, str]) -> Iterator[Metric]:
    for name, (value, documentation) in metrics.items():
        yield CounterMetricFamily(name, documentation, value=value)


def _states(name: str, documentation: str, label: str, states: Mapping[str, bool]) -> Metric:
    """Make a gauge for each known state: 1 for the present one, 0 for the others."""
    family = GaugeMetricFamily(name, documentation, labels=(label,))
    for state, is_present in states.items():
        family.add_metric((state,), is_present)
    return family


async def sync_health(vitals: Vitals, rpc: RpcServer) -> None:
    """Report reads as unhealthy while memory can't be trusted; runs until cancelled."""
    while True:
        rpc.set_trusted(trusted=vitals.trusted)
        await vitals.trust_changed()
