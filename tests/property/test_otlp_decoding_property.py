"""Exports that are read part by part, against the same message parsed by protobuf."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from server.rpc.otlp.decoding import NO_SUM, OTHER_METRIC, Points, Unread, parts
from tests.support.examples import examples

CALLS = (
    "traces_service_graph_request_total",
    "acme_traces_service_graph_request",
    "traces.service.graph.request",
)
OTHERS = (
    "",
    "requests_total",
    "traces_service_graph_request_failed_total",
    "traces_service_graph_request_totals",
)
LONG = "x" * 70_000

texts = st.sampled_from(["", "a", "b", "cart", "x" * 3_000])
pairs = st.builds(KeyValue, key=texts, value=st.builds(AnyValue, string_value=texts))
points = st.builds(
    NumberDataPoint,
    attributes=st.lists(pairs, max_size=3),
    time_unix_nano=st.integers(0, 2**64 - 1),
    as_double=st.floats(),
)
many = st.lists(points, max_size=30)
data = st.one_of(
    st.builds(
        lambda found, **said: {"sum": Sum(data_points=found, **said)},
        many,
        aggregation_temporality=st.integers(0, 2),
        is_monotonic=st.booleans(),
    ),
    st.builds(lambda found: {"gauge": Gauge(data_points=found)}, many),
    st.builds(
        lambda count: {"histogram": Histogram(data_points=[HistogramDataPoint()] * count)}, st.integers(0, 3)
    ),
    st.just({}),
)
metrics = st.builds(lambda name, found: Metric(name=name, **found), st.sampled_from(CALLS + OTHERS), data)
scopes = st.builds(
    ScopeMetrics,
    scope=st.builds(InstrumentationScope, name=texts, attributes=st.lists(pairs, max_size=2)),
    metrics=st.lists(metrics, max_size=4),
)
resources = st.builds(
    ResourceMetrics,
    resource=st.builds(Resource, attributes=st.lists(pairs, max_size=2)),
    scope_metrics=st.lists(scopes, max_size=2),
)
requests = st.builds(ExportMetricsServiceRequest, resource_metrics=st.lists(resources, max_size=2))


@examples(100)
@given(requests)
def test_the_points_of_all_parts_are_those_of_the_message(request: ExportMetricsServiceRequest) -> None:
    expected: list[tuple[int, bool, bytes]] = []
    unread: Counter[str] = Counter()
    for of_resource in request.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                found = [] if kind is None else getattr(metric, kind).data_points
                if metric.name in CALLS and kind == "sum":
                    expected += [
                        (
                            metric.sum.aggregation_temporality,
                            metric.sum.is_monotonic,
                            point.SerializeToString(),
                        )
                        for point in found
                    ]
                else:
                    unread[NO_SUM if metric.name in CALLS else OTHER_METRIC] += len(found)
    read, left_out = [], Counter[str]()
    for part in parts(request.SerializeToString()):
        if isinstance(part, Points):
            # None holds the event loop for long.
            assert sum(point.ByteSize() for point in part.points) < 64 * 1024
            read += [
                (part.temporality, part.is_monotonic, point.SerializeToString()) for point in part.points
            ]
        elif isinstance(part, Unread):
            left_out[part.reason] += part.number
    assert read == expected
    assert +left_out == +unread
