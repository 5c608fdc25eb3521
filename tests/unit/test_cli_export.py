"""No I/O: a graph as other programs read it."""

import csv
import json
from collections.abc import Sequence
from typing import Any

import networkx as nx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    CRITICALITY_CRITICAL,
    DEPENDENCY_CRITICALITY_HARD,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_DATABASE,
    Dependency,
    RetryConfig,
    Service,
    ServiceAlias,
)
from server.cli.render.diagrams import Diagram, dot_lines, mermaid_lines
from server.cli.render.tables import csv_lines, graphml_lines
from server.cli.render.text import visible
from server.formats.documents import FormatError
from server.formats.exported import GraphRows, exported_lines, read_exported

SEEN = Timestamp(seconds=1_700_000_000)
names = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True)


def service(name: str, **fields: Any) -> Service:
    return Service(service_id=name, criticality=CRITICALITY_CRITICAL, **fields)


def dependency(source: str, target: str, **fields: Any) -> Dependency:
    usual: dict[str, Any] = {
        "communication_mode": COMMUNICATION_MODE_SYNC,
        "criticality": DEPENDENCY_CRITICALITY_HARD,
        "discovery_source": DISCOVERY_SOURCE_MANUAL,
        "confidence_score": 1.0,
        "last_observed_time": SEEN,
    }
    return Dependency(source_service_id=source, target_service_id=target, **(usual | fields))


def shop() -> GraphRows:
    orders = service("orders", kind=SERVICE_KIND_DATABASE, discovered=True, id="1", create_time=SEEN)
    orders.metadata["tier"] = "core"
    rows = [
        dependency("web", "orders", timeout_ms=300, retry_config=RetryConfig(max_retries=0), is_stale=True),
        dependency(
            "web",
            "orders",
            discovery_source=DISCOVERY_SOURCE_SERVICE_MESH,
            communication_mode=COMMUNICATION_MODE_ASYNC,
            confidence_score=0.5,
            protocol="kafka",
        ),
    ]
    return GraphRows(
        [orders, service("web", team="shop")], rows, [ServiceAlias(alias="www", service_id="web")]
    )


def read_back(lines: Sequence[str]) -> GraphRows:
    return read_exported("\n".join(lines).encode())


def test_exported_json_has_a_line_for_each_row_and_reads_back_the_same() -> None:
    rows = shop()
    lines = list(exported_lines(rows))
    assert len([line for line in lines if line.startswith("    {")]) == len(rows) == 5
    for row in rows.services:
        row.ClearField("id")
        row.ClearField("create_time")
    assert read_back(lines) == rows
    assert json.loads("\n".join(lines))["services"][0]["kind"] == "SERVICE_KIND_DATABASE"


@given(names)
def test_any_names_read_back_from_exported_json(found: list[str]) -> None:
    rows = GraphRows([service(name) for name in found], [dependency(found[0], found[-1])], [])
    assert read_back(list(exported_lines(rows))) == rows


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"services": {}}', "services: expected a list"),
        ('{"services": [{"name": "a"}]}', r"services\[0\]: no field is named 'name'"),
        ('{"services": [], "nodes": []}', "no nodes"),
        ("[]", "not an exported graph"),
    ],
)
def test_what_is_wrong_with_an_exported_graph_is_named(text: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        read_exported(text.encode())


def test_csv_writes_what_is_not_known_as_empty() -> None:
    [first, second] = csv.DictReader(csv_lines(shop(), "dependencies"))
    assert (first["source_service_id"], first["target_service_id"]) == ("web", "orders")
    assert (first["timeout_ms"], first["max_retries"], first["protocol"]) == ("300", "0", "")
    assert (first["is_stale"], first["discovery_source"]) == ("true", "manual")
    assert (second["communication_mode"], second["confidence_score"]) == ("async", "0.5")
    assert (second["timeout_ms"], second["max_retries"]) == ("", "")
    [orders, web] = csv.DictReader(csv_lines(shop(), "services"))
    assert (orders["kind"], orders["team"], orders["discovered"]) == ("database", "", "true")
    assert (web["team"], web["criticality"]) == ("shop", "critical")


def test_csv_quotes_names_that_hold_commas_quotes_and_line_breaks() -> None:
    name = 'a,"b"\nc'
    rows = GraphRows([service(name)], [], [])
    [row] = csv.DictReader("\n".join(csv_lines(rows, "services")).splitlines(keepends=True))
    assert row["service_id"] == name


def test_networkx_reads_the_graph_from_graphml() -> None:
    graph = nx.parse_graphml("\n".join(graphml_lines(shop())))
    assert isinstance(graph, nx.MultiDiGraph)
    assert graph.nodes["orders"]["kind"] == "database"
    assert "team" not in graph.nodes["orders"]
    found = sorted(graph["web"]["orders"].values(), key=lambda edge: edge["discovery_source"])
    assert [edge["is_stale"] for edge in found] == [True, False]
    assert (found[0]["timeout_ms"], found[1]["confidence_score"]) == (300, 0.5)


@given(names)
def test_networkx_reads_any_names_from_graphml(found: list[str]) -> None:
    rows = GraphRows([service(name) for name in found], [dependency(found[0], found[-1])], [])
    graph = nx.parse_graphml("\n".join(graphml_lines(rows)))
    assert set(graph) == {visible(name) for name in found}
    assert next(iter(graph.edges())) == (visible(found[0]), visible(found[-1]))


def test_drawings_have_one_arrow_for_each_pair() -> None:
    diagram = Diagram.of_rows(["orders", "web"], shop().dependencies)
    assert [line for line in mermaid_lines(diagram) if "-->" in line or "-.->" in line] == [
        '    n1 -->|"sync hard #43; async hard"| n0'
    ]
    assert sum(" -> " in line for line in dot_lines(diagram)) == 1
    assert not any("penwidth" in line for line in dot_lines(diagram))
