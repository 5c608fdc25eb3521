"""No I/O but fixtures: Jaeger's dependencies."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_UNSPECIFIED,
)
from server.formats.documents import FormatError
from server.formats.jaeger import JaegerReport, read_jaeger

REAL = Path(__file__).parents[2] / "../shared/data"


def call(parent: Any, child: Any, count: Any = 1) -> dict[str, Any]:
    return {"parent": parent, "child": child, "callCount": count}


def read(document: Any) -> JaegerReport:
    return read_jaeger(json.dumps(document).encode())


def test_calls_keep_the_order_of_the_file() -> None:
    assert read([call("b", "a"), call("a", "c")]).calls == (("b", "a"), ("a", "c"))


def test_calls_of_a_service_to_itself_are_counted_and_skipped() -> None:
    report = read([call("a", "a"), call("a", "b"), call("a", "a")])
    assert (report.calls, report.self_calls, report.merged) == ((("a", "b"),), 2, 0)


def test_a_repeated_pair_is_merged() -> None:
    report = read([call("a", "b", 3), call("b", "a"), call("a", "b", 4)])
    assert (report.calls, report.self_calls, report.merged) == ((("a", "b"), ("b", "a")), 0, 1)


@pytest.mark.parametrize("nothing", [[], {"data": []}, {"data": None, "errors": None}])
def test_a_file_without_calls_is_an_empty_report(nothing: Any) -> None:
    assert read(nothing).calls == ()


def test_the_answer_of_the_http_api_is_unwrapped() -> None:
    assert read({"data": [call("a", "b")], "total": 0, "errors": None}).calls == (("a", "b"),)


def test_an_answer_that_reports_errors_is_refused() -> None:
    with pytest.raises(FormatError, match="reports errors"):
        read({"data": [], "errors": [{"code": 500, "msg": "storage is away"}]})


def test_unknown_fields_are_ignored() -> None:
    assert read([{**call("a", "b"), "source": "spark"}]).calls == (("a", "b"),)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("a", "expected an object"),
        (None, "expected an object"),
        ({"child": "b"}, "parent is missing"),
        (call("a", None), "child is None, not text"),
        (call(7, "b"), "parent is 7, not text"),
        (call("a", ""), "child is empty"),
        (call("a" * 256, "b"), "parent has 256 characters; the most is 255"),
        (call("a\0", "b"), "holds a character that no name may"),
        (call("a", "\ud800"), "holds a character that no name may"),
        (call("a", "b", -1), "callCount is -1"),
        (call("a", "b", 1.5), "callCount is 1.5"),
        (call("a", "b", True), "callCount is True"),
        (call("a", "b", "9" * 500), "callCount is '9999"),
    ],
)
def test_a_bad_entry_is_refused_by_its_index(entry: Any, complaint: str) -> None:
    with pytest.raises(FormatError) as refusal:
        read([call("a", "b"), entry])
    assert str(refusal.value).startswith("entry 1: ")
    assert complaint in str(refusal.value)
    assert len(str(refusal.value)) < 120


@pytest.mark.parametrize("document", [7, "text", {"nodes": []}, {"data": {}}])
def test_a_document_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(FormatError, match="expected a list"):
        read(document)


def test_the_report_has_synchronous_calls_of_the_otel_source() -> None:
    request = read([call("a", "b"), call("b", "c")]).request()
    assert request.discovery_source == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert [(edge.source_service_id, edge.target_service_id) for edge in request.edges] == [
        ("a", "b"),
        ("b", "c"),
    ]
    assert {edge.communication_mode for edge in request.edges} == {COMMUNICATION_MODE_SYNC}
    assert {edge.discovery_source for edge in request.edges} == {DISCOVERY_SOURCE_UNSPECIFIED}


def test_plain_and_gzip_give_the_same_report() -> None:
    raw = json.dumps([call("ä", "支付")]).encode()
    assert read_jaeger(gzip.compress(raw)) == read_jaeger(raw)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real inputs are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "services", "calls"),
    [("jaeger_dependencies_small.json", 8, 7), ("debian12_depends.json.gz", 57_819, 244_451)],
)
def test_real_files_are_read_whole(name: str, services: int, calls: int) -> None:
    report = read_jaeger((REAL / name).read_bytes())
    assert len({service for pair in report.calls for service in pair}) == services
    assert (len(report.calls), report.self_calls, report.merged) == (calls, 0, 0)
