"""Metrics for Prometheus: of calls and of workers, and the HTTP endpoint that serves them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

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


LABEL = "worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkforceMetrics:
    """What a supervisor of ``count`` workers knows; mappings are by a worker's number."""

    count: int
    serving: int = 0
    restarts: Mapping[int, int] = field(default_factory=dict)
    hangs: Mapping[int, int] = field(default_factory=dict)
    families: Mapping[int, Sequence[Metric]] = field(default_factory=dict)


class WorkforceCollector(Collector):
    """Calls ``read`` once a scrape, on the thread of the scrape."""

    def __init__(self, read: Callable[[], WorkforceMetrics]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; those of a worker that does not answer are missing."""
        known = self._read()
        yield GaugeMetricFamily("depgraph_workers", "Workers that there should be.", value=known.count)
        yield GaugeMetricFamily("depgraph_workers_serving", "Workers that answer calls.", value=known.serving)
        yield _by_worker("depgraph_worker_restarts", "Times that a worker was started again.", known.restarts)
        yield _by_worker(
            "depgraph_worker_hangs", "Times that a worker was killed because it did not answer.", known.hangs
        )
        yield from _merged(known.families)


def _by_worker(name: str, documentation: str, counts: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=(LABEL,))
    for number, count in counts.items():
        family.add_metric((str(number),), count)
    return family


def _merged(families: Mapping[int, Sequence[Metric]]) -> Iterator[Metric]:
    """Join families of the same name, as the exposition format requires."""
    merged: dict[str, Metric] = {}
    for number, of_worker in families.items():
        for family in of_worker:
            whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {LABEL: str(number)} | sample.labels, sample.value)
    yield from merged.values()


log = structlog.get_logger(__name__)


class MetricsListenError(OSError):
    """The metrics can't be served at the address in the settings."""


class MetricsEndpoint:
    """Serves a registry at ``http://HOST:PORT/metrics`` while entered; port 0 = any free port."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        self._listen = listen
        self._registry = registry
        self.address = ""

    async def __aenter__(self) -> Self:
        host, _, port = self._listen.rpartition(":")
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), self._registry)
        except OSError as error:
            reason = error.strerror or str(error)
            raise MetricsListenError(f"can't serve metrics on {self._listen}: {reason}") from None
        self._server.handle_error = _log_failure  # type: ignore[assignment, method-assign]
        self.address = f"{host}:{self._server.server_port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _log_failure(_request: object, client_address: object) -> None:
    """Take the place of what prints a traceback for every scraper that hangs up."""
    error = sys.exception()
    if not isinstance(error, ConnectionError):
        log.error("a scrape failed", client=client_address, exc_info=error)


@asynccontextmanager
async def metrics_endpoint(
    listen: str | None, registry: CollectorRegistry, report: Callable[[str], None]
) -> AsyncIterator[str]:
    """Serve a registry while the context lasts, and give the address; None = do not, ``""``."""
    if listen is None:
        yield ""
        return
    async with MetricsEndpoint(listen, registry) as endpoint:
        report(f"metrics at http://{endpoint.address}/metrics")
        yield endpoint.address
