"""No I/O but fixtures: Jaeger's dependencies."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_UNKNOWN,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_UNSPECIFIED,
)
from server.formats.documents import FormatError
from server.formats.jaeger import NO_CALLS, read_jaeger
from server.formats.naming import NameRules
from server.formats.reading import SELF_CALL, Reading
from tests.support.readings import skipped_of

REAL = Path(__file__).parents[2] / "../shared/data"


def call(parent: Any, child: Any, count: Any = 1) -> dict[str, Any]:
    return {"parent": parent, "child": child, "callCount": count}


def read(document: Any) -> Reading:
    return read_jaeger(json.dumps(document).encode())


def calls_of(reading: Reading) -> tuple[tuple[str, str], ...]:
    return tuple((edge.source_service_id, edge.target_service_id) for edge in reading.report.edges)


def test_calls_keep_the_order_of_the_file() -> None:
    assert calls_of(read([call("b", "a"), call("a", "c")])) == (("b", "a"), ("a", "c"))


def test_calls_of_a_service_to_itself_are_counted_and_skipped() -> None:
    reading = read([call("a", "a"), call("a", "b"), call("a", "a")])
    assert (calls_of(reading), skipped_of(reading)) == ((("a", "b"),), {SELF_CALL: 2})


def test_a_repeated_pair_is_merged() -> None:
    reading = read([call("a", "b", 3), call("b", "a"), call("a", "b", 4)])
    assert calls_of(reading) == (("a", "b"), ("b", "a"))
    assert (reading.element_count, reading.skipped) == (3, ())


@pytest.mark.parametrize("nothing", [[], {"data": []}, {"data": None, "errors": None}])
def test_a_file_without_calls_is_an_empty_report(nothing: Any) -> None:
    assert calls_of(read(nothing)) == ()


def test_the_answer_of_the_http_api_is_unwrapped() -> None:
    assert calls_of(read({"data": [call("a", "b")], "total": 0, "errors": None})) == (("a", "b"),)


def test_an_answer_that_reports_errors_is_refused() -> None:
    with pytest.raises(FormatError, match="reports errors"):
        read({"data": [], "errors": [{"code": 500, "msg": "storage is away"}]})


def test_unknown_fields_are_ignored() -> None:
    assert calls_of(read([{**call("a", "b"), "source": "spark"}])) == (("a", "b"),)


@pytest.mark.parametrize("key", ["data", "dependencies"])
def test_calls_may_stand_under_the_key_of_either_api(key: str) -> None:
    assert calls_of(read({key: [call("a", "b")], "total": 0})) == (("a", "b"),)


@pytest.mark.parametrize("count", [0, 7, "7", "18446744073709551615", 12.0])
def test_counts_may_be_text_or_whole_decimals(count: Any) -> None:
    assert calls_of(read([call("a", "b", count)])) == (("a", "b"),)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("a", "expected an object with parent and child, found text"),
        (None, "expected an object with parent and child, found null"),
        ({"child": "b"}, "parent is missing"),
        (call("a", None), "child is null, not text"),
        (call(7, "b"), "parent is a number, not text"),
        (call("a", ""), "child is empty"),
        (call("a", " "), "child is blank"),
        (call("a ", "b"), "parent begins or ends with white space"),
        (call("a" * 256, "b"), "parent has 256 characters; at most 255"),
        (call("a\0", "b"), "parent holds U+0000"),
        (call("a", "\ud800"), "child holds U+D800"),
        (call("a", "b", -1), "callCount is negative"),
        (call("a", "b", -2.0), "callCount is negative"),
        (call("a", "b", "-3"), "callCount is negative"),
        (call("a", "b", -1.5), "callCount is not a whole number"),
        (call("a", "b", "-"), "callCount is not a whole number"),
        (call("a", "b", 1.5), "callCount is not a whole number"),
        (call("a", "b", True), "callCount is not a whole number"),
        (call("a", "b", "many"), "callCount is not a whole number"),
        (call("a", "b", None), "callCount is not a whole number"),
    ],
)
def test_an_entry_that_cannot_be_used_is_skipped_with_a_reason(entry: Any, reason: str) -> None:
    report = read([call("a", "b"), entry, call("b", "c"), entry])
    assert calls_of(report) == (("a", "b"), ("b", "c"))
    (skipped,) = report.skipped
    assert skipped.reason.startswith(reason)
    assert (skipped.count, skipped.first) == (2, 1)
    assert len(str(skipped)) < 160


def test_skipped_entries_are_counted_by_reason() -> None:
    report = read([call("a", "b"), {}, call("a", ""), {}, call("a", "a")])
    assert [str(each).split(";")[0] for each in report.skipped] == [
        "2 entries skipped, the first is entry 1: parent is missing",
        "entry 2 skipped: child is empty",
        f"entry 4 skipped: {SELF_CALL}",
    ]


def test_a_file_without_any_usable_entry_is_refused() -> None:
    with pytest.raises(FormatError, match="none of the 2 entries can be used; entry 0: parent is missing"):
        read([{"name": "a"}, 7])


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (7, "a number"),
        ("text", "text"),
        ({"data": {}}, "an object"),
        ({"nodes": [], "edges": []}, "an object with 'nodes', 'edges'"),
        ({"elements": {}}, "an object with 'elements'"),
    ],
)
def test_a_document_of_another_shape_is_refused_with_what_was_found(document: Any, found: str) -> None:
    with pytest.raises(FormatError, match=f"expected a list of .*, found {found}"):
        read(document)


def test_the_report_claims_no_mode_and_no_criticality() -> None:
    report = read([call("a", "b"), call("b", "c")]).report
    assert report.discovery_source == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert {edge.communication_mode for edge in report.edges} == {COMMUNICATION_MODE_UNKNOWN}
    assert {edge.criticality for edge in report.edges} == {DEPENDENCY_CRITICALITY_UNKNOWN}
    assert {edge.discovery_source for edge in report.edges} == {DISCOVERY_SOURCE_UNSPECIFIED}


def test_names_follow_the_rules() -> None:
    raw = json.dumps([call("shop-v1", "cart")]).encode()
    assert calls_of(read_jaeger(raw, NameRules("eu/{service}"))) == (("eu/shop-v1", "eu/cart"),)


def test_an_empty_answer_says_why_that_may_be() -> None:
    assert read([]).remark == NO_CALLS
    assert "Spark job" in NO_CALLS
    assert not read([call("a", "b")]).remark


def test_dependencies_of_zipkin_have_the_same_shape() -> None:
    raw = json.dumps([{**call("a", "b", 9), "errorCount": 2}, {**call("b", "c"), "errorCount": 0}])
    assert calls_of(read_jaeger(raw.encode())) == (("a", "b"), ("b", "c"))


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
    assert len({service for pair in calls_of(report) for service in pair}) == services
    assert len(report.report.nodes) == services
    assert (len(report.report.edges), report.element_count, report.skipped) == (calls, calls, ())
