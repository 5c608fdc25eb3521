"""No I/O: answers of Prometheus, with series of a service graph and of Istio."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_DATABASE,
    SERVICE_KIND_EXTERNAL,
    SERVICE_KIND_GATEWAY,
)
from server.formats.documents import FormatError
from server.formats.naming import NameRules
from server.formats.prometheus import NOT_RISEN, answer_of, is_address, istio_call_of, read_prometheus
from server.formats.reading import SELF_CALL, Reading
from tests.support.readings import kinds_of, links_of, skipped_of


def vector(*series: tuple[Mapping[str, str], Any], **others: Any) -> bytes:
    result = [{"metric": dict(labels), "value": [1_700_000_000.5, str(value)]} for labels, value in series]
    answer = {"status": "success", "data": {"resultType": "vector", "result": result}, **others}
    return json.dumps(answer).encode()


def read(*series: tuple[Mapping[str, str], Any], names: NameRules | None = None) -> Reading:
    return read_prometheus(vector(*series), names or NameRules())


def istio(
    source: str = "shop",
    target: str = "cart",
    reporter: str = "source",
    protocol: str = "http",
    **others: str,
) -> dict[str, str]:
    """Label a series as Istio does, for workloads in the namespace ``web``."""
    ends = {
        f"{role}_{label}": name
        for role, name in (("source", source), ("destination", target))
        for label in ("workload", "canonical_service", "app")
    }
    spaces = {"source_workload_namespace": "web", "destination_workload_namespace": "web"}
    return ends | spaces | {"reporter": reporter, "request_protocol": protocol} | others


def outside(service: str, **others: str) -> dict[str, str]:
    """Label a series whose callee has no proxy of the mesh."""
    unknown = dict.fromkeys(
        ("destination_workload", "destination_canonical_service", "destination_app"), "unknown"
    )
    name = service.partition(".")[0] if ".svc." in service else service
    return istio() | unknown | {"destination_service": service, "destination_service_name": name} | others


def test_series_of_a_service_graph_are_its_calls() -> None:
    reading = read(
        ({"client": "shop", "server": "cart"}, 3),
        ({"client": "shop", "server": "cart", "failed": "true"}, 1),
        ({"client": "cart", "server": "orders", "connection_type": "database"}, 0.5),
        ({"client": "user", "server": "shop", "connection_type": "virtual_node"}, 7),
        ({"client": "shop", "server": "old"}, 0),
        ({"client": "shop", "server": "older"}, "NaN"),
    )
    assert reading.report.discovery_source == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert links_of(reading) == {("shop", "cart"), ("cart", "orders")}
    assert kinds_of(reading) == {"orders": SERVICE_KIND_DATABASE}
    assert skipped_of(reading) == {NOT_RISEN: 2, "the client is 'user', a caller without traces": 1}
    assert reading.element_count == 6


def test_a_call_that_three_proxies_report_is_one() -> None:
    reading = read(*((istio(reporter=each), 1) for each in ("source", "destination", "waypoint")))
    assert reading.report.discovery_source == DISCOVERY_SOURCE_SERVICE_MESH
    assert links_of(reading) == {("shop", "cart")}
    assert (reading.element_count, reading.skipped) == (3, ())


def test_what_a_waypoint_sees_of_a_call_beats_the_tcp_of_ztunnel() -> None:
    for protocols in (("tcp", "grpc"), ("grpc", "tcp")):
        reading = read(*((istio(protocol=each), 1) for each in protocols))
        assert reading.report.edges[0].protocol == "grpc"


def test_the_name_of_a_metric_shows_that_a_call_is_tcp() -> None:
    series = istio(protocol="unknown", __name__="istio_tcp_connections_opened_total")
    assert read((series, 1)).report.edges[0].protocol == "tcp"
    assert not read((istio(protocol="unknown"), 1)).report.edges[0].HasField("protocol")


def test_the_canonical_service_names_a_workload_and_its_namespace_tells_it_from_others() -> None:
    series = istio(source_workload="shop-v2", destination_canonical_service="unknown")
    series |= {"destination_workload_namespace": "back"}
    assert links_of(read((series, 1))) == {("shop", "cart")}
    names = NameRules("{namespace}/{service}")
    assert links_of(read((series, 1), names=names)) == {("web/shop", "back/cart")}
    names = NameRules("{workload}")
    assert links_of(read((series, 1), names=names)) == {("shop-v2", "cart")}


def test_series_that_a_query_has_summed_are_istios_by_any_label_of_its_own() -> None:
    summed = {"source_canonical_service": "shop", "destination_canonical_service": "cart"}
    report = read((summed, 1)).report
    assert [(edge.source_service_id, edge.target_service_id) for edge in report.edges] == [("shop", "cart")]
    assert report.discovery_source == DISCOVERY_SOURCE_SERVICE_MESH


def test_a_service_without_a_proxy_has_the_name_of_its_host() -> None:
    reading = read((outside("mongodb.data.svc.cluster.local"), 1), (outside("pay.example.com"), 1))
    assert links_of(reading) == {("shop", "mongodb"), ("shop", "pay.example.com")}
    assert kinds_of(reading) == {"pay.example.com": SERVICE_KIND_EXTERNAL}


def test_gateways_of_istio_have_their_kind() -> None:
    reading = read((istio("istio-ingressgateway", "shop"), 1))
    assert kinds_of(reading) == {"istio-ingressgateway": SERVICE_KIND_GATEWAY}


PROXYS = "a cluster of the proxy (PassthroughCluster, BlackHoleCluster)"


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (istio("unknown"), "the source is 'unknown'"),
        (istio("shop", ""), "the destination is 'unknown'"),
        (outside("unknown"), "the destination is 'unknown'"),
        (outside("PassthroughCluster"), f"the destination is {PROXYS}"),
        (outside("BlackHoleCluster"), f"the destination is {PROXYS}"),
        (outside("InboundPassthroughClusterIpv4"), f"the destination is {PROXYS}"),
        (outside("10.1.2.3"), "the destination is an address without a name"),
        (outside("10.1.2.3:9090"), "the destination is an address without a name"),
        (outside("[fd00::1]:80"), "the destination is an address without a name"),
        (outside("fd00::1"), "the destination is an address without a name"),
        (
            istio("shop", "waypoint"),
            "the destination is a waypoint, which reports the calls that it passes on",
        ),
        (istio("web-waypoint"), "the source is a waypoint, which reports the calls that it passes on"),
        (istio("shop", "shop"), SELF_CALL),
    ],
)
def test_a_series_that_is_no_call_says_why(series: dict[str, str], reason: str) -> None:
    assert istio_call_of(series) == reason


def test_a_destination_that_its_own_proxy_knows_is_no_passthrough() -> None:
    series = istio(reporter="destination", destination_service_name="InboundPassthroughClusterIpv4")
    assert links_of(read((series, 1))) == {("shop", "cart")}


@pytest.mark.parametrize("host", ["a.b", "10.1", "1.2.3.4.5", "a:80", "", ":"])
def test_a_name_is_no_address(host: str) -> None:
    assert not is_address(host)


def test_warnings_are_kept() -> None:
    assert answer_of(vector(warnings=["one store is away"])).warnings == ("one store is away",)
    assert answer_of(vector()).warnings == ()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected status and data, found a list"),
        ({"data": {}}, "expected status and data, found an object with 'data'"),
        ({"status": "error", "error": "query timed out"}, "reports an error: 'query timed out'"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, "found 'matrix'"),
        ({"status": "success", "data": {"resultType": "vector", "result": {}}}, "list data.result"),
        ({"status": "success"}, "found null"),
    ],
)
def test_another_document_is_refused(document: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_prometheus(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, r"data.result\[0\]: expected an object metric"),
        ({"metric": {"client": 7}, "value": [1, "1"]}, r"data.result\[0\]: expected an object metric"),
        ({"metric": {}, "value": [1, "one"]}, r"data.result\[0\]: expected value"),
        ({"metric": {}, "value": 1}, r"data.result\[0\]: expected value"),
        ({"metric": {}, "values": [[1, "1"]]}, r"data.result\[0\]: expected value"),
        ({"metric": {}, "value": [1, None]}, r"data.result\[0\]: expected value"),
    ],
)
def test_a_series_of_another_shape_is_refused_with_its_place(entry: Any, message: str) -> None:
    document = {"status": "success", "data": {"resultType": "vector", "result": [entry]}}
    with pytest.raises(FormatError, match=message):
        read_prometheus(json.dumps(document).encode())
