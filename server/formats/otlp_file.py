"""
Metrics of the OpenTelemetry Collector in a file: the service graph connector's counters.

OTLP/JSON, as the Collector's file exporter writes it (an export a line), or the same as YAML.
"""

from collections.abc import Iterator
from typing import Any

from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
from server.formats.documents import FormatError, kind_of
from server.formats.naming import NameRules
from server.formats.prometheus import NOT_RISEN
from server.formats.reading import Call, Draft, Reading
from server.formats.servicegraph import DEFAULT_NAMES, call_of, counts_calls
from server.formats.yaml_documents import as_text, documents

_KINDS = ("sum", "gauge", "histogram", "exponentialHistogram", "summary")
_VALUES = ("stringValue", "boolValue", "intValue", "doubleValue")


def read_otlp(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read a file of metrics, plain or gzip. O(size).

    A point counts as a call if its counter is above 0: the file shows one moment, not what rose.
    ``FormatError`` when the file is something else.
    """
    draft = Draft(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH)
    number = -1
    for number, document in enumerate(documents(raw)):
        if not isinstance(document, dict) or "resourceMetrics" not in document:
            raise FormatError(f"not metrics of OTLP: expected resourceMetrics, found {kind_of(document)}")
        for name, kind, point in _points(document, f"document {number}"):
            if kind in ("sum", "gauge") and counts_calls(name):
                draft.take(_call(point, names))
            else:
                draft.skip("a point of another metric than traces_service_graph_request_total")
    if number < 0:
        raise FormatError("not metrics of OTLP: the file holds nothing")
    return draft.reading()


def _call(point: Any, names: NameRules) -> Call | str:
    if not isinstance(point, dict) or not isinstance(point.get("attributes", []), list):
        return "a point that is no object with attributes"
    try:
        value = float(point.get("asInt") or point.get("asDouble") or 0)
    except (TypeError, ValueError, OverflowError):
        return "a point whose value is no number"
    return call_of(_labels(point.get("attributes", [])), names) if value > 0 else NOT_RISEN


def _labels(attributes: list[Any]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for attribute in attributes:
        if isinstance(attribute, dict) and isinstance(value := attribute.get("value"), dict):
            text = next((as_text(value[kind]) for kind in _VALUES if kind in value), "")
            labels[as_text(attribute.get("key"))] = text
    return labels


def _points(document: dict[str, Any], where: str) -> Iterator[tuple[str, str, Any]]:
    """Yield each point with the name and the kind of its metric."""
    for resource in _list(document, "resourceMetrics", where):
        for scope in _list(resource, "scopeMetrics", f"{where}, resourceMetrics"):
            for metric in _list(scope, "metrics", f"{where}, scopeMetrics"):
                if not isinstance(metric, dict):
                    raise FormatError(f"{where}, metrics: expected an object, found {kind_of(metric)}")
                for kind in _KINDS:
                    if kind in metric:
                        points = _list(metric[kind], "dataPoints", f"{where}, metrics, {kind}")
                        yield from ((as_text(metric.get("name")), kind, point) for point in points)


def _list(parent: Any, name: str, where: str) -> list[Any]:
    value = parent.get(name) if isinstance(parent, dict) else parent
    if value is None and isinstance(parent, dict):
        return []
    if not isinstance(value, list):
        raise FormatError(f"{where}: expected a list {name}, found {kind_of(value)}")
    return value
