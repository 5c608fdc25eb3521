"""
Calls that Jaeger has observed, the answer of its ``/api/dependencies``, or Zipkin.

A list of ``{"parent", "child", "callCount"}``, by itself or under ``data`` or ``dependencies``, as
Jaeger's APIs wrap it. Zipkin's ``/api/v2/dependencies`` has the same list. How many calls there
were has no place in the graph.
"""

from collections.abc import Mapping
from typing import Any

from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
from server.domain.services import name_problem
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.naming import NameRules
from server.formats.reading import Call, Draft, Link, Reading, link_problem
from server.formats.servicegraph import DEFAULT_NAMES

_LISTS = ("data", "dependencies")
_EXPECTED = 'expected a list of {"parent", "child", "callCount"}, by itself or under "data" or "dependencies"'
NO_CALLS = (
    "No calls are reported. Jaeger with Cassandra, Elasticsearch or OpenSearch knows none until the "
    "Spark job (jaeger-spark-dependencies) has run, nor does Zipkin until zipkin-dependencies has; ask "
    "for a longer lookback too."
)


def read_jaeger(raw: bytes, names: NameRules = DEFAULT_NAMES) -> Reading:
    """
    Read a file, plain or gzip; names may use ``{service}``. O(size).

    Skips and counts entries that can't be used. ``FormatError`` when the file is something else or
    has entries, but none of this shape.
    """
    entries = _entries(json_document(raw))
    draft = Draft(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH)
    first, problem_count = "", 0
    for entry in entries:
        if problem := _problem(entry):
            first, problem_count = first or problem, problem_count + 1
            draft.skip(problem)
        else:
            draft.take(_call(entry, names))
    if entries and problem_count == len(entries):
        raise FormatError(f"none of the {len(entries):,} entries can be used; entry 0: {first}")
    return draft.reading() if entries else draft.reading(NO_CALLS)


def _call(entry: Mapping[str, str], names: NameRules) -> Call | str:
    source, target = (names.name_of({"service": entry[key]}) for key in ("parent", "child"))
    return link_problem(source, target) or Call((Link(source, target),))


def _entries(document: Any) -> list[Any]:
    if isinstance(document, dict):
        if document.get("errors"):
            raise FormatError("the file holds an answer of Jaeger that reports errors: fetch it again")
        key = next((key for key in _LISTS if key in document), None)
        if key is None:
            raise FormatError(f"not Jaeger dependencies: {_EXPECTED}, found {kind_of(document)}")
        document = document[key]
    if document is None:  # Jaeger's answer when it has seen no calls
        return []
    if not isinstance(document, list):
        raise FormatError(f"not Jaeger dependencies: {_EXPECTED}, found {kind_of(document)}")
    return document


def _problem(entry: Any) -> str | None:
    """Say why an entry can't be used; None = it can."""
    if not isinstance(entry, dict):
        return f"expected an object with parent and child, found {kind_of(entry)}"
    problem = _count_problem(entry.get("callCount", 0))
    return problem or _name_problem(entry, "parent") or _name_problem(entry, "child")


def _count_problem(count: Any) -> str | None:
    """Check a count, which protobuf JSON writes as text, and JavaScript as 12.0."""
    if isinstance(count, str):
        digits = count.removeprefix("-")
        is_whole, is_negative = digits.isascii() and digits.isdigit(), digits != count
    else:
        is_number = isinstance(count, int | float) and not isinstance(count, bool)
        is_whole = is_number and (isinstance(count, int) or count.is_integer())
        is_negative = is_number and count < 0
    if not is_whole:
        return "callCount is not a whole number"
    return "callCount is negative" if is_negative else None


def _name_problem(entry: Mapping[str, Any], key: str) -> str | None:
    if key not in entry:
        return f"{key} is missing"
    name = entry[key]
    if not isinstance(name, str):
        return f"{key} is {kind_of(name)}, not text"
    problem = name_problem(name)
    return f"{key} {problem}" if problem else None
