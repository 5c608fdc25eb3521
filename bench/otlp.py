"""
What it costs to take a service graph in over OTLP: 100,000 series, exported once a minute.

They come as the Collector sends them: batches of 8,192 points, packed with gzip, the counter of
calls and two histograms with a point for each of its series.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any, cast

import asyncpg
import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from bench.measuring import Figure
from bench.stage import ServerProcess, Stage, connected, embedded_url, serving, transports
from server.config import Limits
from server.domain.caller import ANYONE
from server.rpc.methods import EXPORT
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.otlp.reports import OtlpRules

SERIES, SERVICES, BATCH = 100_000, 5_000, 8_192
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
# Of a core, while the exports of a minute come.
MOST_PERCENT = 20
BOUNDS = tuple(2.0**power / 1_000 for power in range(14))
PATIENCE_SECONDS = 120

_EDGES = "SELECT count(*) FROM service_dependencies"
_LOGGED = "SELECT count(*) FROM depgraph_feed.change_log"


def measure(stage: Stage) -> Iterator[Figure]:
    for transport in transports():
        folder = stage.folder / f"otlp-{transport}"
        with serving(folder, transport=transport) as server:
            yield from asyncio.run(_measure(server, embedded_url(folder), transport))
    yield from asyncio.run(_holds())


async def _measure(server: ServerProcess, url: str, transport: str) -> list[Figure]:
    # The counter began an hour ago by its own clock, so that minutes pass at once.
    exporter, memory = Exporter(time.time_ns() - 60 * MINUTE), server.memory_mib()
    figures = []
    async with connected(url) as connection, grpc.aio.insecure_channel(server.address) as channel:
        run = Run(server, connection, channel)
        cold = await run.export(exporter.batches(1, rising=True))
        edges = await connection.fetchval(_EDGES)
        assert edges == SERIES // 2, edges
        figures.append(Figure(f"{transport}: the first export, all series new", cold.cpu_seconds, "s"))
        figures.append(Figure("  rows of the change log", cold.logged, "rows"))
        figures.append(Figure("  memory of series and graph", server.memory_mib() - memory, "MiB"))
        for what, rising, minutes in (("no call since", False, (2, 3)), ("all called since", True, (4, 5))):
            taken = [await run.export(exporter.batches(minute, rising=rising)) for minute in minutes]
            cpu = sum(each.cpu_seconds for each in taken) / len(taken)
            figures += [
                Figure(f"{transport}: an export within the granularity, {what}", cpu, "s"),
                Figure("  of a core, once a minute", cpu / 60 * 100, "%", at_most=MOST_PERCENT),
                Figure("  rows of the change log", sum(each.logged for each in taken), "rows", at_most=0),
            ]
        renewal = await run.export(exporter.batches(6, rising=True))
        figures.append(
            Figure(f"{transport}: an export that renews all, five minutes on", renewal.cpu_seconds, "s")
        )
        figures.append(Figure("  rows of the change log", renewal.logged, "rows"))
    return figures


async def _holds() -> list[Figure]:
    """How long other work on the event loop waits, by the processor time of the thread."""
    receiver = OtlpReceiver(cast("Any", None), Limits(), OtlpRules())
    exporter, figures = Exporter(time.time_ns() - 60 * MINUTE), []
    gc.collect()
    gc.freeze()
    for what, minute in (("the first export", 1), ("another", 2)):
        gaps: list[float] = []
        other = asyncio.ensure_future(_note_gaps(gaps))
        for batch in exporter.batches(minute, rising=True):
            await receiver.take(batch, ANYONE, "bench")
        other.cancel()
        gaps.sort()
        figures.append(
            Figure(f"the event loop is held, {what}: 99.9 %", gaps[-len(gaps) // 1_000] * 1e3, "ms")
        )
        figures.append(Figure("  the longest time", gaps[-1] * 1e3, "ms"))
    return figures


async def _note_gaps(gaps: list[float]) -> None:
    last = time.thread_time()
    while True:
        await asyncio.sleep(0)
        now = time.thread_time()
        gaps.append(now - last)
        last = now


class Taken:
    """What an export cost the server."""

    cpu_seconds = 0.0
    logged = 0


class Run:
    def __init__(
        self, server: ServerProcess, connection: asyncpg.Connection, channel: grpc.aio.Channel
    ) -> None:
        self._server = server
        self._connection = connection
        self._export: Any = channel.unary_unary(EXPORT)

    async def export(self, batches: list[bytes]) -> Taken:
        """Export batches, wait until all of it is written and the server is at rest."""
        taken = Taken()
        cpu, logged = self._server.cpu_seconds(), await self._connection.fetchval(_LOGGED)
        for batch in batches:
            # Nothing was rejected.
            assert await self._export(batch, compression=grpc.Compression.Gzip) == b""
        await self._rest()
        taken.cpu_seconds = self._server.cpu_seconds() - cpu
        taken.logged = await self._connection.fetchval(_LOGGED) - logged
        return taken

    async def _rest(self) -> None:
        """Wait until the server has used little processor for longer than it collects."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                before = self._server.cpu_seconds()
                await asyncio.sleep(3)
                if self._server.cpu_seconds() - before < 0.15:
                    return


class Exporter:
    """Makes the exports of one connector, minute by minute."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._calls = 0
        self._batches = [_batch(start, first) for first in range(0, SERIES, BATCH)]

    def batches(self, minute: int, *, rising: bool) -> list[bytes]:
        """Return the export of a minute; counters rose since the one before or did not."""
        self._calls += rising
        at = self._start + minute * MINUTE
        for batch in self._batches:
            counter, *histograms = batch.resource_metrics[0].scope_metrics[0].metrics
            for point in counter.sum.data_points:
                point.time_unix_nano, point.as_int = at, self._calls
            for metric in histograms:
                for timed in metric.histogram.data_points:
                    timed.time_unix_nano = at
        # Now: the caller that waits beside it shares a processor with this program.
        return [batch.SerializeToString() for batch in self._batches]


def _batch(start: int, first: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    counter = metrics.add(name="traces_service_graph_request_total", unit="1")
    counter.sum.aggregation_temporality, counter.sum.is_monotonic = 2, True  # type: ignore[assignment]
    histograms = [
        metrics.add(name=f"traces_service_graph_request_{side}", unit="s") for side in ("server", "client")
    ]
    for number in range(first, min(first + BATCH, SERIES)):
        attributes = _attributes(number)
        point = counter.sum.data_points.add(start_time_unix_nano=start)
        _describe(point.attributes, attributes)
        for metric in histograms:
            _add_histogram(metric, start, attributes)
    return request


def _add_histogram(metric: Metric, start: int, attributes: dict[str, str]) -> None:
    point = metric.histogram.data_points.add(start_time_unix_nano=start, count=7, sum=1.5)
    point.bucket_counts.extend([1] * (len(BOUNDS) + 1))
    point.explicit_bounds.extend(BOUNDS)
    _describe(point.attributes, attributes)


def _attributes(number: int) -> dict[str, str]:
    """The labels of a series: two series a pair of services, ten pairs a caller."""
    pair = number // 2
    caller = pair // 10
    callee = (caller + 1 + pair % 10) % SERVICES
    return {
        "client": f"shop-service-{caller}",
        "server": f"shop-service-{callee}",
        "connection_type": "",
        "failed": "true" if number % 2 else "false",
    }


def _describe(attributes: object, values: dict[str, str]) -> None:
    for key, value in values.items():
        attributes.add(key=key).value.string_value = value  # type: ignore[attr-defined]
