"""Changes that nobody has made yet: the project's own format, with dependencies to be removed beside those to be added."""

from typing import Any

from google.protobuf.json_format import ParseDict

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, DependencyKey
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from server.formats.documents import json_document
from server.formats.native import NOT_A_MESSAGE, entries_of, report_of
from server.formats.problems import FormatError


def read_proposed(raw: bytes) -> CheckChangeRequest:
    """
    Read the change that a file proposes, plain or gzip; ``FormatError`` names the first entry that is wrong. O(size).

    A report as ``read_native`` has it, or a list of them: ``edges`` are added, by the report's ``discovery_source`` (manual, if it has none), and its ``nodes``
    do not matter. ``removed`` holds a ``DependencyKey`` each; one without a discovery source means the dependencies of every source.
    """
    change = CheckChangeRequest()
    for where, entry in entries_of(json_document(raw)):
        rest = dict(entry)
        removed = rest.pop("removed", [])
        report = report_of(where, rest)
        _attribute(where, report)
        change.added.extend(report.edges)
        change.removed.extend(_keys(where, removed))
    return change


def _attribute(where: str, report: IngestGraphRequest) -> None:
    for index, edge in enumerate(report.edges):
        if edge.discovery_source not in (0, report.discovery_source) and report.discovery_source:
            raise FormatError(f"{where}, edges[{index}]: discovery_source is not the report's; leave it out")
        edge.discovery_source = edge.discovery_source or report.discovery_source


def _keys(where: str, removed: Any) -> list[DependencyKey]:
    if not isinstance(removed, list):
        raise FormatError(
            f'{where}: removed is not a list of {{"source_service_id", "target_service_id", "discovery_source"}}'
        )
    return [_key(f"{where}, removed[{index}]", key) for index, key in enumerate(removed)]


def _key(where: str, key: Any) -> DependencyKey:
    if not isinstance(key, dict):
        raise FormatError(f"{where}: expected an object with source_service_id and target_service_id")
    try:
        return ParseDict(key, DependencyKey())
    except NOT_A_MESSAGE as error:
        raise FormatError(f"{where}: {error}") from None
