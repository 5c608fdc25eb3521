"""MetricsService of OTLP: the Collector's service graph comes in on depgraph's own port."""
