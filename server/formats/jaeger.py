"""
Calls that Jaeger has observed: the answer of its ``/api/dependencies``.

A list of ``{"parent", "child", "callCount"}``, by itself or under ``data`` or ``dependencies``, as
its APIs wrap it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    DiscoverySource,
)
from server.domain.services import name_problem
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.reading import Skipped

_LISTS = ("data", "dependencies")
_JSON_HINT = "; 'depgraph import json' reads files with nodes and edges"
_EXPECTED = 'expected a list of {"parent", "child", "callCount"}, by itself or under "data" or "dependencies"'


@dataclass(frozen=True, slots=True, kw_only=True)
class JaegerReport:
    """
    The calls of a file: distinct pairs of caller and callee in the order of their first entry.

    ``self_calls`` entries were calls of a service to itself, which the graph does not hold;
    ``merged`` entries repeated a pair; ``skipped`` ones can't be used.
    """

    calls: tuple[tuple[str, str], ...]
    self_calls: int
    merged: int
    skipped: tuple[Skipped, ...] = ()

    def request(
        self, source: DiscoverySource.ValueType = DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    ) -> IngestGraphRequest:
        """Return one report, of any size; traces show calls whose callers wait. O(calls)."""
        return IngestGraphRequest(
            discovery_source=source,
            edges=[
                Dependency(
                    source_service_id=caller,
                    target_service_id=callee,
                    communication_mode=COMMUNICATION_MODE_SYNC,
                )
                for caller, callee in self.calls
            ],
        )


def read_jaeger(raw: bytes) -> JaegerReport:
    """
    Read a file, plain or gzip. O(size).

    Skips and counts entries that can't be used. ``FormatError`` when the file is something else or
    has entries, but none to use.
    """
    entries = _entries(json_document(raw))
    problems = {place: problem for place, entry in enumerate(entries) if (problem := _problem(entry))}
    if problems and len(problems) == len(entries):
        hint = _hint(entries[0])
        raise FormatError(f"none of the {len(entries):,} entries can be used; entry 0: {problems[0]}{hint}")
    calls: dict[tuple[str, str], None] = {}
    self_calls = 0
    for place, entry in enumerate(entries):
        if place in problems:
            continue
        if entry["parent"] == entry["child"]:
            self_calls += 1
        else:
            calls[entry["parent"], entry["child"]] = None
    return JaegerReport(
        calls=tuple(calls),
        self_calls=self_calls,
        merged=len(entries) - len(problems) - self_calls - len(calls),
        skipped=tuple(_by_reason(problems.items())),
    )


def _by_reason(problems: Iterable[tuple[int, str]]) -> Iterable[Skipped]:
    problems = list(problems)
    first = {reason: place for place, reason in reversed(problems)}
    for reason, count in Counter(reason for _, reason in problems).items():
        yield Skipped(reason=reason, count=count, first=first[reason])


def _entries(document: Any) -> list[Any]:
    if isinstance(document, dict):
        if document.get("errors"):
            raise FormatError("the file holds an answer of Jaeger that reports errors: fetch it again")
        key = next((key for key in _LISTS if key in document), None)
        if key is None:
            found = f"{kind_of(document)}{_hint(document)}"
            raise FormatError(f"not Jaeger dependencies: {_EXPECTED}, found {found}")
        document = document[key]
    if document is None:  # Jaeger's answer when it has seen no calls
        return []
    if not isinstance(document, list):
        raise FormatError(f"not Jaeger dependencies: {_EXPECTED}, found {kind_of(document)}")
    return document


def _hint(document: Any) -> str:
    """Name the command that reads the project's own format, if this is a report in it."""
    is_report = isinstance(document, dict) and not {"nodes", "edges"}.isdisjoint(document)
    return _JSON_HINT if is_report else ""


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
