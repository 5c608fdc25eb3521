"""Changes that nobody has made yet: the project's own format, with dependencies to be removed beside those to be added."""

from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, DependencyKey
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL, Dependency
from server.formats.documents import json_document
from server.formats.native import NOT_A_MESSAGE, entries_of, report_of
from server.formats.problems import FormatError


class Proposal(NamedTuple):
    """A change: what each source would report, and which dependencies would be removed before."""

    reports: list[IngestGraphRequest]
    removed: list[DependencyKey]

    def as_question(self) -> CheckChangeRequest:
        """Return what to ask ``CheckChange``; nodes do not matter to it."""
        added = [edge for report in self.reports for edge in report.edges]
        return CheckChangeRequest(added=added, removed=self.removed)


def read_proposal(raw: bytes) -> Proposal:
    """
    Read the change that a file proposes, plain or gzip; ``FormatError`` names the first entry that is wrong. O(size).

    A report as ``read_native`` has it, or a list of them: ``edges`` are added, each by its own ``discovery_source``, else the report's, else manual.
    ``removed`` holds a ``DependencyKey`` each; one without a discovery source means the dependencies of every source.
    """
    proposal = Proposal([], [])
    for where, entry in entries_of(json_document(raw)):
        rest = dict(entry)
        removed = rest.pop("removed", [])
        proposal.reports.extend(_by_source(where, report_of(where, rest)))
        proposal.removed.extend(_keys(where, removed))
    return proposal


def _by_source(where: str, report: IngestGraphRequest) -> list[IngestGraphRequest]:
    """Make a report of one source, or of each, that names it in every edge."""
    own = report.discovery_source
    edges: dict[int, list[Dependency]] = {own or DISCOVERY_SOURCE_MANUAL: []}
    for index, edge in enumerate(report.edges):
        if own and edge.discovery_source not in (0, own):
            raise FormatError(f"{where}, edges[{index}]: discovery_source is not the report's; leave it out")
        edge.discovery_source = edge.discovery_source or own or DISCOVERY_SOURCE_MANUAL
        edges.setdefault(edge.discovery_source, []).append(edge)
    reports: list[IngestGraphRequest] = []
    for source, told in edges.items():
        nodes = report.nodes if not reports else ()
        if told or nodes:
            reports.append(
                IngestGraphRequest(
                    discovery_source=source,  # type: ignore[arg-type]
                    observe_time=report.observe_time if report.HasField("observe_time") else None,
                    nodes=nodes,
                    edges=told,
                )
            )
    return reports


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
        named = ParseDict(key, DependencyKey())
    except NOT_A_MESSAGE as error:
        raise FormatError(f"{where}: {error}") from None
    # An empty name would mean every service to whoever lists what is to be removed.
    if not named.source_service_id or not named.target_service_id:
        raise FormatError(f"{where}: source_service_id and target_service_id are both needed")
    return named
