"""The project's own format: ``IngestGraphRequest`` of the contract as protobuf JSON, one object or a list of them."""

from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from server.formats.documents import json_document
from server.formats.problems import FormatError

# Lone surrogates are a UnicodeEncodeError, which is a ValueError; some well-known types raise one themselves.
NOT_A_MESSAGE = (ParseError, ValueError, RecursionError)
"""What is raised for JSON that is no such message."""


def read_native(raw: bytes) -> list[IngestGraphRequest]:
    """
    Read the reports of a file, plain or gzip, each of any length; ``FormatError`` names the first one that is none. O(size).

    Whether their values are sound is for the server to say.
    """
    return [report_of(where, entry) for where, entry in entries_of(json_document(raw))]


def entries_of(document: Any) -> list[tuple[str, dict[str, Any]]]:
    """List the reports that a document holds as they are written, each with what to call it; ``FormatError`` for a document that is no such thing."""
    if isinstance(document, dict):
        return [("the report", document)]
    if not isinstance(document, list):
        raise FormatError(
            'not a graph: expected {"discovery_source", "nodes", "edges"} or a list of such reports'
        )
    entries = [(f"report {index}", entry) for index, entry in enumerate(document)]
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise FormatError(f"{where}: expected an object with discovery_source, nodes and edges")
    return entries


def report_of(where: str, entry: dict[str, Any]) -> IngestGraphRequest:
    """Read one report; ``FormatError`` names the node or edge that is none."""
    try:
        return _parsed(entry)
    except NOT_A_MESSAGE as error:
        raise FormatError(f"{where}{_place(entry)}: {error}") from None


def _parsed(entry: dict[str, Any]) -> IngestGraphRequest:
    return ParseDict(entry, IngestGraphRequest())


def _place(entry: dict[str, Any]) -> str:
    """Find the first node or edge that can't be read, which protobuf does not tell; empty when the fault is elsewhere."""
    for field in ("nodes", "edges"):
        items = entry.get(field)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            try:
                _parsed({field: [item]})
            except NOT_A_MESSAGE:
                return f", {field}[{index}]"
    return ""
