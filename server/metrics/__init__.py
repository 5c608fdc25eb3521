"""Figures for Prometheus, served over HTTP when asked for."""

from server.metrics.calls import CallMetrics
from server.metrics.endpoint import MetricsEndpoint, MetricsListenError
from server.metrics.gauges import Readings, ReadingsCollector

__all__ = ["CallMetrics", "MetricsEndpoint", "MetricsListenError", "Readings", "ReadingsCollector"]
