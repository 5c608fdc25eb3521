"""What Prometheus says was called: the series of counters that rose within a window."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from server.formats.documents import FormatError
from server.formats.prometheus import NOT_RISEN, Answer, Sample, answer_of, istio_calls, servicegraph_calls
from server.formats.reading import Reading, Skipped
from server.sources.http import Http
from server.sources.source import PullError, Source

LOOK_BACK = timedelta(hours=1)
"""How far before the window a value is looked for that a counter had already."""

_REQUESTS, _INFO = "_request_total", "_connection_info"
_ISTIO_REQUESTS = "istio_requests_total"
# Connections that stay open for days move bytes all the same.
_ISTIO_TCP = (
    "istio_tcp_connections_opened_total",
    "istio_tcp_sent_bytes_total",
    "istio_tcp_received_bytes_total",
)
# What splits one pair into several series is left out: fewer of them travel.
_SERVICEGRAPH_SERIES = "group without (failed, instance)"
_ENDS = ("workload", "workload_namespace", "canonical_service", "canonical_revision", "app", "cluster")
_ISTIO_SERIES = "group by ({}, destination_service, {}, request_protocol)".format(
    ", ".join(f"{side}_{end}" for side in ("source", "destination") for end in _ENDS),
    "destination_service_name, destination_service_namespace",
)
# A remark on the query: the answer is whole.
_HARMLESS = "metric might not be a counter"
_MOST_REMARKS, _MAX_REMARK_LENGTH = 3, 200


async def pull_prometheus(source: Source, http: Http) -> Reading:
    """Return the calls that were counted within the window; raises ``PullError``."""
    pull = _pull_istio if source.profile == "istio" else _pull_servicegraph
    return await pull(source, http)


async def _pull_servicegraph(source: Source, http: Http) -> Reading:
    metric, window = source.metric, source.window
    risen = await _samples(http, source, f"{_SERVICEGRAPH_SERIES} ({risen_within(metric, window)})")
    total = await _count(http, source, f"{_SERVICEGRAPH_SERIES} ({_last(metric, window)})")
    present: tuple[Sample, ...] = ()
    if metric.endswith(_REQUESTS):
        # Tempo holds this gauge at 1 while it sees a connection, however rarely that is used.
        gauge = f"max_over_time({metric.removesuffix(_REQUESTS)}{_INFO}[{_promql(window)}]) > 0"
        present = await _samples(http, source, f"{_SERVICEGRAPH_SERIES} ({gauge})")
    if not total and not present:
        raise _absent(source, metric)
    reading = await asyncio.to_thread(servicegraph_calls, (*risen, *present), source.names)
    return _with_others(reading, total - len(risen))


async def _pull_istio(source: Source, http: Http) -> Reading:
    window, found, total = source.window, list[Sample](), 0
    for metrics in ((_ISTIO_REQUESTS,), _ISTIO_TCP):
        risen = _any_of(risen_within(metric, window) for metric in metrics)
        samples = await _samples(http, source, f"{_ISTIO_SERIES} ({risen})")
        # The group has no name, by which the reader tells TCP from requests.
        found += [Sample({**sample.labels, "__name__": metrics[0]}, sample.value) for sample in samples]
        series = _any_of(_last(metric, window) for metric in metrics)
        total += await _count(http, source, f"{_ISTIO_SERIES} ({series})")
    if not total:
        raise _absent(source, f"{_ISTIO_REQUESTS} or istio_tcp_*")
    reading = await asyncio.to_thread(istio_calls, found, source.names)
    return _with_others(reading, total - len(found))


def risen_within(metric: str, window: timedelta) -> str:
    """
    Write the expression for the series of a counter that rose within the window before now.

    - ``increase`` counts nothing before a series' first sample, so a series that had no value
      before the window, and has one above 0, rose.
    - It needs two samples, which a window of one scrape does not have, nor one after a gap: a value
      that is not the one of before the window rose, too.
    - A counter that stands still has an increase of exactly 0, however long it is still exported.
    """
    last = _last(metric, window)
    before = f"last_over_time({metric}[{_promql(LOOK_BACK)}] offset {_promql(window)})"
    return _any_of(
        (
            f"(increase({metric}[{_promql(window)}]) > 0)",
            f"(({last} > 0) unless {before})",
            f"(({last} != {before}) > 0)",
        )
    )


def _any_of(expressions: Iterable[str]) -> str:
    return " or ".join(expressions)


def _last(metric: str, window: timedelta) -> str:
    return f"last_over_time({metric}[{_promql(window)}])"


def _promql(duration: timedelta) -> str:
    return f"{int(duration.total_seconds())}s"


async def _samples(http: Http, source: Source, query: str) -> tuple[Sample, ...]:
    """Ask for an instant vector; an answer that may be partial raises ``PullError``."""
    form = {"query": query, "timeout": _promql(source.timeout)}
    raw = await http.get("/api/v1/query", form)
    try:
        # Large ones take a second, for which calls should not wait.
        answer = await asyncio.to_thread(answer_of, raw)
    except FormatError as error:
        raise PullError(f"{source.url}: {error}") from None
    if remarks := _remarks(answer):
        raise PullError(f"{source.url}: the answer may be partial: {remarks}")
    return answer.samples


async def _count(http: Http, source: Source, series: str) -> int:
    samples = await _samples(http, source, f"count({series})")
    return int(samples[0].value) if samples else 0


def _remarks(answer: Answer) -> str:
    harmful = [remark for remark in answer.warnings if _HARMLESS not in remark]
    return "; ".join(remark[:_MAX_REMARK_LENGTH] for remark in harmful[:_MOST_REMARKS])


def _with_others(reading: Reading, still: int) -> Reading:
    """Add the series that stood still, which did not travel."""
    if still <= 0:
        return reading
    others = Skipped(reason=NOT_RISEN, count=still, first=reading.element_count)
    return replace(reading, element_count=reading.element_count + still, skipped=(*reading.skipped, others))


def _absent(source: Source, metric: str) -> PullError:
    return PullError(
        f"{source.url} has no sample of {metric} within {_promql(source.window)}: "
        "see that it is scraped or written there, and under this name"
    )
