"""No I/O: files that propose a change."""

import gzip
import json
from typing import Any

import pytest

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest
from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    DISCOVERY_SOURCE_UNSPECIFIED,
)
from server.formats.documents import FormatError
from server.formats.native import read_change

EDGE = {
    "source_service_id": "a",
    "target_service_id": "b",
    "communication_mode": "COMMUNICATION_MODE_SYNC",
}
KEY = {"source_service_id": "b", "target_service_id": "a"}


def read(document: Any) -> CheckChangeRequest:
    return read_change(json.dumps(document).encode()).as_question()


def test_edges_are_added_by_the_source_of_their_report() -> None:
    change = read({"discovery_source": "DISCOVERY_SOURCE_KUBERNETES", "edges": [EDGE], "nodes": []})
    [edge] = change.added
    assert (edge.source_service_id, edge.target_service_id) == ("a", "b")
    assert edge.discovery_source == DISCOVERY_SOURCE_KUBERNETES
    assert list(change.removed) == []


def test_a_key_without_a_source_removes_every_source() -> None:
    named = {**KEY, "discoverySource": "DISCOVERY_SOURCE_MANUAL"}
    change = read({"discovery_source": "DISCOVERY_SOURCE_KUBERNETES", "removed": [KEY, named]})
    assert [key.discovery_source for key in change.removed] == [
        DISCOVERY_SOURCE_UNSPECIFIED,
        DISCOVERY_SOURCE_MANUAL,
    ]


def test_several_reports_are_one_change_in_their_order() -> None:
    change = read([{"edges": [EDGE]}, {"removed": [KEY]}, {"edges": [{**EDGE, "target_service_id": "c"}]}])
    assert [edge.target_service_id for edge in change.added] == ["b", "c"]
    assert len(change.removed) == 1


def test_every_edge_knows_its_place_in_the_file() -> None:
    seen = {**EDGE, "discovery_source": "DISCOVERY_SOURCE_SERVICE_MESH"}
    report = {"edges": [EDGE, seen, {**EDGE, "target_service_id": "c"}]}
    change = read_change(json.dumps(report).encode())
    assert [edge.target_service_id for edge in change.added] == ["b", "b", "c"]
    assert change.places == ["edges[0]", "edges[1]", "edges[2]"]
    assert read_change(json.dumps([{}, report]).encode()).places[0] == "report 1, edges[0]"


def test_gzip_is_read_too() -> None:
    document = {"edges": [EDGE]}
    packed = gzip.compress(json.dumps(document).encode())
    assert read_change(packed).as_question() == read(document)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"removed": [KEY, {"source": "a"}]}, "the report, removed[1]: "),
        ([{}, {"removed": [7]}], "report 1, removed[0]: expected an object"),
        ({"removed": KEY}, "the report: removed is not a list"),
        ({"edges": [EDGE, {"target": "b"}]}, "the report, edges[1]: "),
        ({"edges": [EDGE], "deleted": []}, "the report: "),
        (
            {"discovery_source": 1, "edges": [EDGE, {**EDGE, "discovery_source": 3}]},
            "the report, edges[1]: discovery_source is not the report's",
        ),
        ([[]], "report 0: expected an object"),
        ("a>b", "not a graph"),
    ],
)
def test_a_wrong_entry_of_a_change_is_named(document: Any, place: str) -> None:
    with pytest.raises(FormatError) as caught:
        read(document)
    assert str(caught.value).startswith(place)


def test_a_change_is_split_into_a_report_for_each_source() -> None:
    mesh = {**EDGE, "target_service_id": "c", "discovery_source": "DISCOVERY_SOURCE_SERVICE_MESH"}
    document = {"nodes": [{"service_id": "a"}], "edges": [EDGE, mesh]}
    by_hand, by_mesh = read_change(json.dumps(document).encode()).reports
    assert by_hand.discovery_source == DISCOVERY_SOURCE_MANUAL
    assert [edge.target_service_id for edge in by_hand.edges] == ["b"]
    assert [node.service_id for node in by_hand.nodes] == ["a"]
    assert by_mesh.discovery_source == DISCOVERY_SOURCE_SERVICE_MESH
    assert [edge.target_service_id for edge in by_mesh.edges] == ["c"]
    assert len(by_mesh.nodes) == 0
