"""Figures for Prometheus, served over HTTP when asked for."""

from server.metrics.calls import CallMetrics
from server.metrics.endpoint import MetricsEndpoint, MetricsListenError, metrics_endpoint
from server.metrics.gauges import Readings, ReadingsCollector
from server.metrics.workers import WorkforceCollector, WorkforceFigures

__all__ = [
    "CallMetrics",
    "MetricsEndpoint",
    "MetricsListenError",
    "Readings",
    "ReadingsCollector",
    "WorkforceCollector",
    "WorkforceFigures",
    "metrics_endpoint",
]
