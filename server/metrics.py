"""Metrics of workers, for Prometheus; the HTTP endpoint for all metrics and for health."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger(__name__)

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
    """
    Calls ``read`` once a scrape, on the thread of the scrape.

    The figures of this process itself have no label, those of a worker have its number.
    """

    def __init__(self, read: Callable[[], WorkforceMetrics]) -> None:
        self._read = read
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; those of a worker that does not answer are missing."""
        known = self._read()
        yield GaugeMetricFamily("depgraph_workers", "Workers that there should be.", value=known.count)
        yield GaugeMetricFamily("depgraph_workers_serving", "Workers that answer calls.", value=known.serving)
        yield _by_worker("depgraph_worker_restarts", "Times that a worker was started again.", known.restarts)
        yield _by_worker(
            "depgraph_worker_hangs", "Times that a worker was killed because it did not answer.", known.hangs
        )
        yield from _merged(self._process.collect(), known.families)


def _by_worker(name: str, documentation: str, counts: Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=(LABEL,))
    for number, count in counts.items():
        family.add_metric((str(number),), count)
    return family


def _merged(own: Iterable[Metric], families: Mapping[int, Sequence[Metric]]) -> Iterator[Metric]:
    """Join families of the same name, as the exposition format requires."""
    merged = {family.name: family for family in own}
    for number, of_worker in families.items():
        for family in of_worker:
            whole = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {LABEL: str(number)} | sample.labels, sample.value)
    yield from merged.values()


class MetricsListenError(OSError):
    """The metrics can't be served at the address in the settings."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, _request: object, client_address: object) -> None:
        """Log a failure; the base class prints a traceback for every scraper that hangs up."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("a scrape failed", client=client_address, exc_info=error)


class _ServerIPv6(_Server):
    address_family = socket.AF_INET6


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log no line for each request."""


_PATHS = ("/metrics", "/healthz")
_METHODS = ("GET", "HEAD")


def _application(registry: CollectorRegistry, is_serving: Callable[[], bool]) -> "WSGIApplication":
    metrics = make_wsgi_app(registry)

    def text_of(path: str, method: str) -> tuple[HTTPStatus, str]:
        if path not in _PATHS:
            return HTTPStatus.NOT_FOUND, "there are /metrics and /healthz\n"
        if method not in _METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED, f"{path} answers {' and '.join(_METHODS)}\n"
        return (
            (HTTPStatus.OK, "SERVING\n")
            if is_serving()
            else (HTTPStatus.SERVICE_UNAVAILABLE, "NOT_SERVING\n")
        )

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        is_head = method == "HEAD"
        try:
            if path == "/metrics" and method in _METHODS:
                # It answers no HEAD.
                body = metrics(environ | {"REQUEST_METHOD": "GET"}, start_response)
                return [] if is_head else body
            status, text = text_of(path, method)
        # Otherwise wsgiref would print a traceback, which is no line of the log.
        except Exception:
            log.exception("a scrape failed", path=path)
            status, text = HTTPStatus.INTERNAL_SERVER_ERROR, "the server's log says what failed\n"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ", ".join(_METHODS)))
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if is_head else [text.encode()]

    return answer


@asynccontextmanager
async def metrics_endpoint(
    listen: str | None,
    registry: CollectorRegistry,
    report: Callable[[str], None],
    is_serving: Callable[[], bool],
) -> AsyncIterator[str]:
    """
    Serve ``/metrics`` and ``/healthz`` while the context lasts; gives the address, empty for None.

    Port 0 = any free port. ``/healthz`` answers 200 while ``is_serving``, which is called on a
    thread, else 503. Raises ``MetricsListenError``.
    """
    if listen is None:
        yield ""
        return
    host, _, port = listen.rpartition(":")
    kind, application = _ServerIPv6 if host.startswith("[") else _Server, _application(registry, is_serving)
    try:
        server = make_server(host.strip("[]"), int(port), application, kind, handler_class=_SilentHandler)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MetricsListenError(f"can't serve metrics on {listen}: {reason}") from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"{host}:{server.server_port}"
    report(f"metrics at http://{address}/metrics")
    try:
        yield address
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
