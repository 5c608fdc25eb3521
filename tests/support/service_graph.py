"""Metrics of OTLP as the Collector's service graph connector writes them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

CALLS = "traces_service_graph_request_total"
FAILED = "traces_service_graph_request_failed_total"
SECONDS = ("traces_service_graph_request_server_seconds", "traces_service_graph_request_client_seconds")
CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
SECOND = 1_000_000_000
HOUR = 3_600 * SECOND

Counts = Mapping[str, int | float]


@dataclass
class Connector:
    """
    One connector, which began to count at ``start``, in nanoseconds since 1970.

    Calls are written ``client>server`` or ``client>server>connection_type``.
    """

    start: int = field(default_factory=lambda: time.time_ns() - SECOND)
    resource: Mapping[str, str] = field(default_factory=dict)
    temporality: AggregationTemporality = CUMULATIVE
    name: str = CALLS

    def metrics(self, counts: Counts, at: int | None = None) -> MetricsData:
        """What it exports: its counter, and beside it another one and histograms."""
        now = time.time_ns() if at is None else at
        metrics = [
            self.sum(self.name, counts, now),
            self.sum(FAILED, counts, now),
            *(self._histogram(name, counts, now) for name in SECONDS),
        ]
        return metrics_data(metrics, self.resource)

    def request(self, counts: Counts, at: int | None = None) -> ExportMetricsServiceRequest:
        """The same as a message."""
        return encode_metrics(self.metrics(counts, at))

    def sum(self, name: str, counts: Counts, at: int) -> Metric:
        """A sum with a point for each call."""
        points = [NumberDataPoint(labels(call), self.start, at, value) for call, value in counts.items()]
        return Metric(name, "", "1", Sum(points, self.temporality, is_monotonic=True))

    def _histogram(self, name: str, counts: Counts, at: int) -> Metric:
        points = [
            HistogramDataPoint(labels(call), self.start, at, 7, 1.5, (3, 4, 0), (0.1, 1.0), 0.1, 0.9)
            for call in counts
        ]
        return Metric(name, "", "s", Histogram(points, self.temporality))


def metrics_data(metrics: Iterable[Metric], resource: Mapping[str, str] | None = None) -> MetricsData:
    """What an exporter sends of one resource."""
    scope = InstrumentationScope("traces_service_graph")
    of_resource = ResourceMetrics(Resource(resource or {}), [ScopeMetrics(scope, list(metrics), "")], "")
    return MetricsData([of_resource])


def labels(call: str) -> dict[str, Any]:
    """The attributes of a series."""
    client, server, *connection = call.split(">")
    return {
        "client": client,
        "server": server,
        "connection_type": connection[0] if connection else "",
        "failed": False,
    }
