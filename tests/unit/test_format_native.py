"""No I/O but the repository's own example: the project's format."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_KUBERNETES, DISCOVERY_SOURCE_MANUAL
from server.formats.documents import FormatError
from server.formats.native import read_native

EXAMPLE = Path(__file__).parents[2] / "examples/online_shop.json"
REPORT = {"discovery_source": "DISCOVERY_SOURCE_KUBERNETES", "nodes": [{"service_id": "a"}]}


def read(document: Any) -> list[IngestGraphRequest]:
    return read_native(json.dumps(document).encode())


def test_one_object_is_one_report() -> None:
    (report,) = read(REPORT)
    assert report.discovery_source == DISCOVERY_SOURCE_KUBERNETES
    assert [node.service_id for node in report.nodes] == ["a"]


def test_a_list_is_a_report_each() -> None:
    assert [len(report.nodes) for report in read([REPORT, {"nodes": []}])] == [1, 0]


def test_fields_may_be_named_in_camel_case() -> None:
    assert read({"discoverySource": 3})[0].discovery_source == DISCOVERY_SOURCE_KUBERNETES


def test_gzip_is_read_too() -> None:
    assert read_native(gzip.compress(json.dumps(REPORT).encode())) == read(REPORT)


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        (7, "expected an object"),
        ({"egdes": []}, "egdes"),
        ({"discovery_source": "DISCOVERY_SOURCE_RUMOUR"}, "DISCOVERY_SOURCE_RUMOUR"),
        ({"edges": [{}, {"timeout_ms": 2**31}]}, r"edges\[1\]: .*timeout_ms"),
        ({"nodes": [{"service_id": "\ud800"}]}, r"nodes\[0\]: .*surrogate|UTF-8"),
        ({"observe_time": "yesterday"}, "observe_time"),
    ],
)
def test_a_bad_report_is_refused_by_its_index(report: Any, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as refusal:
        read([REPORT, report])
    assert str(refusal.value).startswith("report 1")


def test_a_document_of_another_shape_is_refused() -> None:
    with pytest.raises(FormatError, match="not a graph"):
        read("graph")


def test_the_example_file_has_a_cycle() -> None:
    declared = next(report for report in read_native(EXAMPLE.read_bytes()) if report.nodes)
    assert declared.discovery_source == DISCOVERY_SOURCE_MANUAL
    known = {node.service_id for node in declared.nodes}
    pairs = [(edge.source_service_id, edge.target_service_id) for edge in declared.edges]
    assert {name for pair in pairs for name in pair} == known
    assert len(set(pairs)) == len(pairs)
    assert {("pricing", "promotions"), ("promotions", "loyalty"), ("loyalty", "pricing")} <= set(pairs)
