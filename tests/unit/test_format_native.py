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
        (7, "report 1: expected an object with discovery_source, nodes and edges, found a number"),
        ({"egdes": []}, "report 1: no field is named 'egdes'; did you mean edges?"),
        ({"links": []}, "report 1: no field is named 'links'; there are discovery_source, observe_time, "),
        (
            {"discovery_source": "DISCOVERY_SOURCE_RUMOUR"},
            "report 1, discovery_source: 'DISCOVERY_SOURCE_RUMOUR' is not one of DISCOVERY_SOURCE_MANUAL, ",
        ),
        (
            {"edges": [{}, {"timeoutMs": 2**31}]},
            "report 1, edges[1], timeout_ms: expected a whole number of 32 bits, found 2147483648",
        ),
        (
            {"edges": [{"retry_config": {"max_retries": "two"}}]},
            "report 1, edges[0], retry_config, max_retries: expected a whole number of 32 bits, found 'two'",
        ),
        ({"edges": {"a": "b"}}, "report 1, edges: expected a list, found an object with 'a'"),
        ({"nodes": ["a"]}, "report 1, nodes[0]: expected an object, found 'a'"),
        ({"nodes": [{"service_id": 7}]}, "report 1, nodes[0], service_id: expected text, found 7"),
        ({"nodes": [{"service_id": "\ud800"}]}, "report 1, nodes[0], service_id: expected text, found "),
        ({"nodes": [{"metadata": []}]}, "report 1, nodes[0], metadata: expected an object, found a list"),
        ({"observe_time": "yesterday"}, "report 1, observe_time: expected a time such as "),
    ],
)
def test_a_bad_report_is_refused_by_its_index(report: Any, complaint: str) -> None:
    with pytest.raises(FormatError) as refusal:
        read([REPORT, report])
    assert str(refusal.value).startswith(complaint)


def test_a_file_of_jaeger_is_recognized() -> None:
    with pytest.raises(FormatError, match="'depgraph import jaeger' reads them"):
        read([{"parent": "a", "child": "b", "callCount": 1}])


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
