"""Metrics for Prometheus, served over HTTP."""

from server.metrics.calls import CallMetrics
from server.metrics.endpoint import MetricsEndpoint, MetricsListenError, metrics_endpoint
from server.metrics.workers import WorkforceCollector, WorkforceMetrics

__all__ = [
    "CallMetrics",
    "MetricsEndpoint",
    "MetricsListenError",
    "WorkforceCollector",
    "WorkforceMetrics",
    "metrics_endpoint",
]
