"""
Calls that Jaeger has observed: the answer of its ``/api/dependencies``.

A list of ``{"parent", "child", "callCount"}``, by itself or under ``data``, as the API wraps it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    DiscoverySource,
)
from server.domain.services import NAME_MAX_LENGTH
from server.formats.documents import FormatError, json_document


@dataclass(frozen=True, slots=True, kw_only=True)
class JaegerReport:
    """
    The calls of a file: distinct pairs of caller and callee in the order of their first entry.

    ``self_calls`` entries were calls of a service to itself, which the graph does not hold;
    ``merged`` entries repeated a pair.
    """

    calls: tuple[tuple[str, str], ...]
    self_calls: int
    merged: int

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
    """Read a file, plain or gzip; ``FormatError`` names the first wrong entry. O(size)."""
    calls: dict[tuple[str, str], None] = {}
    entries = _entries(json_document(raw))
    self_calls = 0
    for index, entry in enumerate(entries):
        caller, callee = _call(index, entry)
        if caller == callee:
            self_calls += 1
        else:
            calls[caller, callee] = None
    return JaegerReport(
        calls=tuple(calls), self_calls=self_calls, merged=len(entries) - self_calls - len(calls)
    )


def _entries(document: Any) -> list[Any]:
    if isinstance(document, dict) and "data" in document:
        _refuse_errors(document)
        document = document["data"]
    if document is None:  # Jaeger's answer when it has seen no calls
        return []
    if not isinstance(document, list):
        raise FormatError('not Jaeger dependencies: expected a list of {"parent", "child", "callCount"}')
    return document


def _refuse_errors(answer: Mapping[str, Any]) -> None:
    if answer.get("errors"):
        raise FormatError("the file holds an answer of Jaeger that reports errors: fetch it again")


def _call(index: int, entry: Any) -> tuple[str, str]:
    if not isinstance(entry, dict):
        raise FormatError(f"entry {index}: expected an object with parent and child, not {_shown(entry)}")
    count = entry.get("callCount", 0)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise FormatError(f"entry {index}: callCount is {_shown(count)}, not a whole number")
    return _name(index, entry, "parent"), _name(index, entry, "child")


def _name(index: int, entry: Mapping[str, Any], key: str) -> str:
    name = entry.get(key)
    if not isinstance(name, str):
        problem = "missing" if key not in entry else f"{_shown(name)}, not text"
        raise FormatError(f"entry {index}: {key} is {problem}")
    if not name:
        raise FormatError(f"entry {index}: {key} is empty")
    if len(name) > NAME_MAX_LENGTH:
        raise FormatError(f"entry {index}: {key} has {len(name)} characters; the most is {NAME_MAX_LENGTH}")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise FormatError(f"entry {index}: {key} is {_shown(name)}, which holds a character that no name may")
    return name


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - what fits into a line
