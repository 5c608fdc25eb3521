"""Metrics of the Collector's service graph, sent by OpenTelemetry's own exporter over OTLP."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as pb
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from server.app import Application
from server.config import MIB, AccessSettings, Settings
from server.rpc.methods import EXPORT
from server.rpc.otlp import receiver
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of
from tests.support.issuer import bearer, static_token
from tests.support.service_graph import CALLS, CUMULATIVE, DELTA, SECOND, Connector, labels

EXHAUSTED, INVALID = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
COLLECTOR = bearer("collector")

Rows: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Send = Callable[[MetricsData], Awaitable[None]]

_EDGES = """
SELECT s.service_id || '>' || t.service_id AS edge, t.kind, d.criticality, d.last_observed_at
FROM service_dependencies AS d
JOIN services AS s ON s.id = d.source_service_id JOIN services AS t ON t.id = d.target_service_id
WHERE d.discovery_source = 'otel_service_graph' AND s.service_id LIKE $1 || '-%'
"""


@pytest.fixture(scope="module", autouse=True)
def quickly_written() -> Iterator[None]:
    """Writing does not wait long for more, so that tests need not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receiver, "COLLECTED", timedelta(milliseconds=50))
        yield


@pytest.fixture(scope="module")
def server_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("access") / "auth.toml"
    callers = [
        static_token("collector", "ingester", sources=("otel_service_graph",)),
        static_token("mesh", "ingester", sources=("service_mesh",)),
        static_token("root", "admin"),
    ]
    path.write_text("\n".join(callers))
    access = AccessSettings(auth_file=path)
    return Settings(listen="127.0.0.1:0", database_url=database_url, access=access)


@pytest.fixture
def exporter(server_address: str) -> Iterator[OTLPMetricExporter]:
    """The exporter of OpenTelemetry, which packs with gzip, as the Collector does."""
    made = OTLPMetricExporter(
        endpoint=server_address,
        insecure=True,
        headers=tuple((key, str(value)) for key, value in COLLECTOR),
        compression=grpc.Compression.Gzip,
        timeout=PATIENCE_SECONDS,
    )
    yield made
    made.shutdown()


@pytest.fixture
def send(exporter: OTLPMetricExporter) -> Send:
    """Export metrics, all of which are taken in."""

    async def export(data: MetricsData) -> None:
        assert await asyncio.to_thread(exporter.export, data) is MetricExportResult.SUCCESS

    return export


async def rows_of(connection: Rows, shop: str) -> dict[str, asyncpg.Record]:
    """The observed dependencies of the callers of a shop, whose names begin with its own."""
    return {row["edge"]: row for row in await connection.fetch(_EDGES, shop)}


async def there_are(connection: Rows, *wanted: str) -> dict[str, asyncpg.Record]:
    """Wait until the dependencies of a shop's callers are exactly those wanted."""
    shop = wanted[0].partition("-")[0]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (found := await rows_of(connection, shop)).keys() != set(wanted):
            await asyncio.sleep(0.02)
    return found


async def taken_in(application: Application) -> None:
    """Wait until nothing waits to be written any more."""
    await eventually(lambda: figure(application, "waiting_calls") == 0)


def figure(application: Application, name: str, **of: str) -> float:
    value = application.registry.get_sample_value(f"depgraph_otlp_{name}", of)
    assert value is not None
    return value


def after(seconds: float, since: int | None = None) -> int:
    """A time in nanoseconds, from now if no other is given."""
    return (time.time_ns() if since is None else since) + int(seconds * SECOND)


def time_of(nanos: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanos // 1_000)


async def export(
    channel: grpc.aio.Channel,
    request: pb.ExportMetricsServiceRequest,
    caller: Any = COLLECTOR,
    **how: Any,
) -> pb.ExportMetricsServiceResponse:
    """Call the method directly, to see what it answers."""
    call: Any = channel.unary_unary(
        EXPORT,
        request_serializer=pb.ExportMetricsServiceRequest.SerializeToString,
        response_deserializer=pb.ExportMetricsServiceResponse.FromString,
    )
    answer: pb.ExportMetricsServiceResponse = await call(request, metadata=caller, **how)
    return answer


async def test_the_calls_of_a_connector_become_dependencies_of_unknown_criticality(
    send: Send, connection: Rows
) -> None:
    counts = {"plain-web>plain-cart": 3, "plain-cart>plain-db>database": 1, "plain-cart>plain-idle": 0}
    await send(Connector().metrics(counts))
    found = await there_are(connection, "plain-web>plain-cart", "plain-cart>plain-db")
    assert {row["criticality"] for row in found.values()} == {"unknown"}
    assert {edge: row["kind"] for edge, row in found.items()} == {
        "plain-web>plain-cart": "service",
        "plain-cart>plain-db": "database",
    }


@pytest.mark.one_transport
async def test_a_call_is_observed_when_its_counter_rises(
    send: Send, connection: Rows, application: Application
) -> None:
    connector = Connector(start=after(-7_200))
    rising, dead, new = "rise-a>rise-b", "rise-a>rise-c", "rise-a>rise-d"
    first = after(-1_000)
    # The counter began long before: it may have risen at any time.
    await send(connector.metrics({rising: 5, dead: 5}, first))
    await taken_in(application)
    assert await rows_of(connection, "rise") == {}
    await send(connector.metrics({rising: 6, dead: 5, new: 1}, after(60, first)))
    await there_are(connection, rising, new)
    await send(connector.metrics({rising: 7, dead: 5, new: 1}, after(600, first)))
    await taken_in(application)
    found = await rows_of(connection, "rise")
    assert {edge: row["last_observed_at"] for edge, row in found.items()} == {
        rising: time_of(after(600, first)),
        new: time_of(after(60, first)),
    }


@pytest.mark.one_transport
async def test_deltas_are_observed_without_an_earlier_point(send: Send, connection: Rows) -> None:
    deltas = Connector(start=after(-7_200), temporality=DELTA)
    await send(deltas.metrics({"delta-a>delta-b": 2, "delta-a>delta-c": 0}))
    await there_are(connection, "delta-a>delta-b")


@pytest.mark.one_transport
@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
async def test_a_counter_of_the_sdk_shows_its_calls(
    server_address: str, connection: Rows, temporality: AggregationTemporality
) -> None:
    shop = f"sdk{temporality.value}"
    exporter = OTLPMetricExporter(
        endpoint=server_address,
        insecure=True,
        headers=COLLECTOR,
        preferred_temporality={Counter: temporality},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    counter = provider.get_meter("test").create_counter(CALLS)
    counter.add(1, labels(f"{shop}-a>{shop}-b"))
    assert await asyncio.to_thread(provider.force_flush)
    await there_are(connection, f"{shop}-a>{shop}-b")
    counter.add(1, labels(f"{shop}-a>{shop}-c"))
    assert await asyncio.to_thread(provider.force_flush)
    await there_are(connection, f"{shop}-a>{shop}-b", f"{shop}-a>{shop}-c")
    await asyncio.to_thread(provider.shutdown)


@pytest.mark.one_transport
async def test_an_exporter_that_begins_anew_shows_the_calls_since_then(send: Send, connection: Rows) -> None:
    await send(Connector(start=after(-7_200)).metrics({"again-a>again-b": 50, "again-a>again-c": 9}))
    await send(Connector(start=after(-1)).metrics({"again-a>again-b": 2}))
    await there_are(connection, "again-a>again-b")


@pytest.mark.one_transport
@pytest.mark.parametrize("instances", [("1", "2"), ("", "")], ids=["by resource", "by start"])
async def test_two_exporters_of_one_series_show_no_call_that_neither_saw(
    send: Send, connection: Rows, application: Application, instances: tuple[str, str]
) -> None:
    shop = f"two{instances[0]}"
    used, dead = f"{shop}-a>{shop}-b", f"{shop}-a>{shop}-c"
    began = after(-7_200)
    # With one resource they differ in when they began to count.
    starts = (began, began if instances[0] else after(5, began))
    one, other = (
        Connector(start, {"service.instance.id": instance})
        for start, instance in zip(starts, instances, strict=True)
    )
    for number in range(3):
        at = after(60 * number - 600)
        await send(one.metrics({dead: 100, used: 10 + number}, at))
        await send(other.metrics({dead: 40, used: 7}, at))
    await there_are(connection, used)
    await taken_in(application)
    assert set(await rows_of(connection, shop)) == {used}


async def test_bad_points_are_counted_and_the_good_ones_beside_them_are_taken(
    channel: grpc.aio.Channel, connection: Rows
) -> None:
    counts = {"bad-a>bad-b": 1, "bad-a>bad-nan": float("nan"), "bad-a>bad-minus": -1}
    request = Connector().request(counts)
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    points.add(time_unix_nano=after(0), as_int=3)
    points.add(time_unix_nano=after(0), attributes=points[0].attributes)
    points.add(as_int=3, attributes=points[0].attributes)
    answer = (await export(channel, request)).partial_success
    assert answer.rejected_data_points == 5
    assert answer.error_message == (
        "depgraph can't use some points: 2 with a value that is no count; "
        "1 with no attributes client and server; 1 with no value; 1 with no time"
    )
    await there_are(connection, "bad-a>bad-b")


@pytest.mark.one_transport
async def test_what_is_no_counter_of_calls_is_skipped_without_a_word(
    channel: grpc.aio.Channel, application: Application
) -> None:
    before = figure(application, "points_total", outcome="skipped")
    answer = await export(channel, Connector().request({"skip-a>skip-a": 1, "skip-a>unknown": 1}))
    assert not answer.HasField("partial_success")
    # Two points of four metrics, one of which counts calls.
    assert figure(application, "points_total", outcome="skipped") == before + 8


@pytest.mark.one_transport
async def test_a_sum_that_is_no_counter_is_rejected(channel: grpc.aio.Channel) -> None:
    request = Connector().request({"sum-a>sum-b": 1})
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.is_monotonic = False
    answer = await export(channel, request)
    assert answer.partial_success.error_message.endswith("1 with a sum that may fall")
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.is_monotonic = True
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.ClearField("aggregation_temporality")
    answer = await export(channel, request)
    assert answer.partial_success.error_message.endswith("1 with a sum without temporality")


async def test_a_packed_batch_of_ten_megabytes_is_taken_in(
    channel: grpc.aio.Channel, connection: Rows
) -> None:
    request = Connector().request({"large-a>large-b": 1})
    # Histograms and other counters take most of a connector's batch.
    padding = [f"large-a>{'z' * 3_000}{number}" for number in range(100)]
    others = Connector(name="others").request(dict.fromkeys(padding, 0)).resource_metrics[0]
    while request.ByteSize() < 10 * MIB:
        request.resource_metrics.append(others)
    answer = await export(channel, request, compression=grpc.Compression.Gzip)
    assert not answer.HasField("partial_success")
    await there_are(connection, "large-a>large-b")


async def test_an_export_beyond_its_limit_is_refused_for_good(channel: grpc.aio.Channel) -> None:
    # Exporters repeat what is exhausted only if the answer says when.
    request = Connector(name="x" * (16 * MIB)).request({"long-a>long-b": 1})
    failure = await failure_of(export(channel, request))
    assert (failure.code, failure.retry_after) == (EXHAUSTED, None)
    # Others keep the limits of their own.
    call: Any = channel.unary_unary("/depgraph.v1.GraphService/BatchTraverse")
    failure = await failure_of(call(bytes(9 * MIB), metadata=bearer("root")))
    assert (failure.code, failure.metadata["limit"]) == (EXHAUSTED, "request_bytes")


@pytest.mark.one_transport
async def test_what_is_no_export_is_refused_as_such(channel: grpc.aio.Channel) -> None:
    whole = Connector().request({"cut-a>cut-b": 1}).SerializeToString()
    call: Any = channel.unary_unary(EXPORT)
    for raw in (whole[:-1], b"\xff", b"\x0a\x03abc", b"\x0a\x04\x12\x02\x0b\x0c"):
        failure = await failure_of(call(raw, metadata=COLLECTOR))
        assert failure.code is INVALID, raw
    assert await call(b"", metadata=COLLECTOR) == b""


@pytest.mark.one_transport
async def test_only_who_may_report_for_the_service_graph_may_export(
    channel: grpc.aio.Channel, connection: Rows
) -> None:
    failure = await failure_of(export(channel, Connector().request({"mesh-a>mesh-b": 1}), bearer("mesh")))
    assert (failure.code, failure.metadata["discovery_source"]) == (DENIED, "otel_service_graph")
    await export(channel, Connector().request({"mesh-a>mesh-b": 1}), bearer("root"))
    await there_are(connection, "mesh-a>mesh-b")


@pytest.mark.one_transport
async def test_the_account_of_writes_names_the_exporters_caller(
    send: Send, connection: Rows, application: Application
) -> None:
    await send(Connector().metrics({"named-a>named-b": 1}))
    await there_are(connection, "named-a>named-b")
    [row] = await connection.fetch("SELECT principal, method FROM writes")
    assert (row["principal"], row["method"]) == ("collector", EXPORT.removeprefix("/"))
