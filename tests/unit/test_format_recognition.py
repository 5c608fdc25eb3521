"""No I/O: which format a file has, and what is said of a file of another one."""

import gzip
import json
from typing import Any

import pytest

from server.formats.documents import FormatError
from server.formats.recognition import FORMATS, Format, format_of, read, with_hint

CALL = {"parent": "a", "child": "b", "callCount": 1}
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
ENTITY = {"apiVersion": "backstage.io/v1beta1", "kind": "Component", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ([CALL], "jaeger"),
        ({"data": [CALL]}, "jaeger"),
        ({"data": None, "total": 0}, "jaeger"),
        ({"dependencies": [CALL]}, "jaeger"),
        ({"discovery_source": "DISCOVERY_SOURCE_MANUAL"}, "json"),
        ([{"nodes": []}, {"edges": []}], "json"),
        ({"services": [], "dependencies": [], "aliases": []}, "json"),
        ({"services": [], "dependencies": [{"source_service_id": "a"}]}, "json"),
        ({"timestamp": 1, "elements": {"nodes": [], "edges": []}}, "kiali"),
        (POD, "kubernetes"),
        ([POD], "kubernetes"),
        ({"apiVersion": "v1", "kind": "List", "items": [POD]}, "kubernetes"),
        ({"apiVersion": "v1", "kind": "List", "items": []}, "kubernetes"),
        (ENTITY, "backstage"),
        ([ENTITY], "backstage"),
        ({"items": [ENTITY], "totalItems": 1, "pageInfo": {}}, "backstage"),
        ({"resourceMetrics": []}, "otlp"),
        ({"status": "success", "data": {"resultType": "vector", "result": []}}, "prometheus"),
        ({"status": "error", "error": "no", "data": None}, "prometheus"),
        ({"status": "error", "errorType": "bad_data", "error": "no"}, "prometheus"),
    ],
)
def test_the_content_shows_the_format(document: Any, form: Format) -> None:
    raw = json.dumps(document).encode()
    assert format_of(raw) == format_of(gzip.compress(raw)) == form
    assert form in FORMATS


def test_yaml_is_recognised_by_its_first_document_with_content() -> None:
    assert format_of(b"# a comment\n---\n---\napiVersion: backstage.io/v1alpha1\nkind: API\n") == "backstage"
    assert format_of(b"---\nkind: Service\napiVersion: v1\n---\n}") == "kubernetes"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (b"[]", "this is none of the formats backstage, jaeger, .*: found a list"),
        (b'{"a": 1}', "none of the formats .*: found an object with 'a'"),
        (b"7", "none of the formats .*: found a number"),
        (b"---\n# nothing\n", "the file holds nothing"),
        (b"<html>&nbsp;</html>", "what looks like XML or HTML"),
        (b'digraph {"a" -> "b"}', r"what looks like Graphviz \(dot\)"),
        (b"PK\x03\x04rest", "what looks like a zip archive"),
        (b"parent,child\na,b\n", "what looks like CSV"),
        (b"kind: Pod\nspec: [a\n", "not YAML: document 0, line 3"),
        (b"\xef\xbb\xbf# pods\n---\nkind: {{ .Values.kind }}\n", "not YAML: document 0, line 3"),
    ],
)
def test_another_file_is_refused_with_what_it_looks_like(raw: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        format_of(raw)


@pytest.mark.parametrize("form", [form for form in FORMATS if form not in ("json", "kiali")])
def test_a_reader_of_another_format_says_that_this_is_a_graph_of_kiali(form: Format) -> None:
    raw = json.dumps({"elements": {"nodes": [], "edges": []}}).encode()
    with pytest.raises(FormatError, match="; this looks like a graph of Kiali: depgraph import kiali FILE"):
        read(form, raw)


def test_a_file_without_a_document_is_not_a_graph_without_edges() -> None:
    for form in FORMATS:
        if form != "json":
            with pytest.raises(FormatError):
                read(form, b"---\n# nothing\n")


def test_a_broken_file_of_the_right_format_gets_no_hint() -> None:
    raw = json.dumps({"elements": {"nodes": 7}}).encode()
    with pytest.raises(FormatError, match=r"^elements.nodes: expected a list, found a number$"):
        read("kiali", raw)
    error = FormatError("broken")
    assert with_hint(error, "zipkin", json.dumps([CALL]).encode()) is error
    assert "depgraph import jaeger FILE" in str(with_hint(error, "json", json.dumps([CALL]).encode()))
