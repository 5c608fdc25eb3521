"""Calls by method and code, and how long they took."""

from prometheus_client import CollectorRegistry, Counter, Histogram

# A read out of memory takes a fraction of a millisecond, a large batch seconds, and a watch as long
# as it likes.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class CallMetrics:
    """Counts calls in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "depgraph_rpc_calls",
            "Calls that are over, by full method name and status code.",
            ("method", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "depgraph_rpc_duration_seconds",
            "Duration of calls, from the first byte of the request to the status.",
            ("method",),
            buckets=SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "depgraph_rpc_refused",
            "Calls that met a limit, by its name: --max-request-bytes sets request_bytes.",
            ("limit",),
            registry=registry,
        )
        # Looking them up by their labels takes several times as long as counting.
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def called(self, method: str, code: str, seconds: float) -> None:
        """Note a call. A microsecond or two."""
        known = self._known.get((method, code))
        if known is None:
            known = self._calls.labels(method, code), self._seconds.labels(method)
            self._known[method, code] = known
        count, duration = known
        count.inc()
        duration.observe(seconds)

    def refused(self, limit: str) -> None:
        """Note that a call met a limit."""
        self._refused.labels(limit).inc()
