"""Exports of OTLP at their limits, and what identifies the sum of an exporter."""

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from server.domain.errors import InvalidInputError
from server.rpc.otlp.decoding import NO_POINT, TOO_LONG, Points, Unread, parts
from tests.support.service_graph import Connector


def points_of(request: ExportMetricsServiceRequest) -> list[Points]:
    return [part for part in parts(request.SerializeToString()) if isinstance(part, Points) and part.points]


def stream_of(connector: Connector) -> bytes:
    [found] = points_of(connector.request({"a>b": 1}))
    return found.stream


def test_a_point_of_too_many_bytes_is_counted_and_the_others_are_read() -> None:
    request = Connector().request({"a>b": 1, "a>c": 1, "a>d": 1})
    points = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    points[1].attributes.append(KeyValue(key="x" * 70_000, value=AnyValue(bool_value=True)))
    found = points_of(request)
    assert [point for part in found for point in part.points] == [points[0], points[2]]
    left_out = [part for part in parts(request.SerializeToString()) if isinstance(part, Unread)]
    assert Unread(TOO_LONG, 1, is_bad=True) in left_out


def test_a_point_whose_text_is_no_text_is_counted_and_the_others_are_read() -> None:
    calls = [f"a>b{number}" for number in range(300)]
    good = [
        point for part in points_of(Connector().request(dict.fromkeys(calls, 1))) for point in part.points
    ]
    raw = Connector().request(dict.fromkeys([*calls[:150], "a>CUT", *calls[150:]], 1)).SerializeToString()
    found = list(parts(raw.replace(b"CUT", b"\xe2\x82x")))
    read = [point for part in found if isinstance(part, Points) for point in part.points]
    assert [point.attributes for point in read] == [point.attributes for point in good]
    bad = [part for part in found if isinstance(part, Unread) and part.is_bad and part.number]
    assert bad == [Unread(NO_POINT, 1, is_bad=True)]


def test_a_resource_whose_text_is_no_text_is_one_of_its_own() -> None:
    raw = Connector(resource={"host": "CUT"}).request({"a>b": 1}).SerializeToString()
    streams = {
        part.stream
        for text in (b"CUT", b"\xe2\x82x", b"\xe2\x82y")
        for part in parts(raw.replace(b"CUT", text))
        if isinstance(part, Points) and part.points
    }
    assert len(streams) == 3


def test_a_sum_belongs_to_its_resource_whatever_the_order_of_attributes() -> None:
    one = Connector(resource={"host": "1", "zone": "a"})
    assert stream_of(one) == stream_of(Connector(resource={"zone": "a", "host": "1"}))
    others = (
        Connector(resource={"host": "1"}),
        Connector(resource={"host": "1", "zone": "b"}),
        Connector(resource=one.resource, name="acme_traces_service_graph_request_total"),
    )
    assert len({stream_of(each) for each in (one, *others)}) == 4


def test_a_scope_is_part_of_what_identifies_a_sum() -> None:
    request = Connector().request({"a>b": 1})
    [before] = points_of(request)
    request.resource_metrics[0].scope_metrics[0].scope.version = "2"
    [after] = points_of(request)
    assert before.stream != after.stream


@pytest.mark.parametrize(
    "name",
    [
        "traces_service_graph_request_total",
        "traces_service_graph_request",
        "traces.service.graph.request.total",
        "otelcol_traces_service_graph_request_total",
        "acme.traces_service_graph_request",
    ],
)
def test_the_counter_of_calls_is_known_by_the_names_that_exporters_give_it(name: str) -> None:
    assert points_of(Connector(name=name).request({"a>b": 1}))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "http_requests_total",
        "traces_service_graph_request_failed_total",
        "mytraces_service_graph_request",
    ],
)
def test_other_sums_are_left_out(name: str) -> None:
    assert not points_of(Connector(name=name).request({"a>b": 1}))


def test_an_export_cut_anywhere_is_refused_or_ends_between_two_fields() -> None:
    whole = Connector(resource={"host": "1"}).request({"a>b": 1, "a>c": 2}).SerializeToString()
    refused = 0
    for end in range(len(whole)):
        try:
            list(parts(whole[:end]))
        except InvalidInputError:
            refused += 1
    # All but the empty one: the message is one field.
    assert refused == len(whole) - 1


def test_an_export_made_of_nothing_but_fields_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        list(parts(b"\x18\x00" * 100_000))
