"""
The project's own format: ``IngestGraphRequest`` as protobuf JSON, one object or a list.

A change, which ``depgraph check`` and ``apply`` read, also names dependencies to remove. Reports of
any format are split here into batches that one call may carry.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, DependencyKey
from depgraph.v1.dependency_service_pb2 import CalleePolicy, IngestGraphRequest, IngestNode
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL, Dependency
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.messages import read_message

_REPORT = "an object with discovery_source, nodes and edges"
_EXPECTED = f"expected {_REPORT}, or a list of such reports"
# By default a server takes 10,000 items and 2 MiB a call; half of that is left for other fields.
MAX_ITEMS = 10_000
MAX_BYTES = 1024 * 1024


class Change(NamedTuple):
    """
    The reports of each source, and the dependencies to remove before.

    ``added`` has the edges of all reports as the file has them, and ``places`` where each of them
    is: ``edges[3]``, or ``report 1, edges[3]`` if the file is a list.
    """

    reports: list[IngestGraphRequest]
    removed: list[DependencyKey]
    added: list[Dependency]
    places: list[str]

    def as_question(self) -> CheckChangeRequest:
        """Return what to ask ``CheckChange``, to which nodes do not matter."""
        return CheckChangeRequest(added=self.added, removed=self.removed)


def read_native(raw: bytes) -> list[IngestGraphRequest]:
    """
    Read the reports of a file, plain or gzip, each of any length. O(size).

    ``FormatError`` names the first entry that is no report. The server checks the values.
    """
    return [read_message(where, entry, IngestGraphRequest) for where, entry in _entries(json_document(raw))]


def read_change(raw: bytes) -> Change:
    """
    Read a change, plain or gzip; ``FormatError`` names the first entry that is wrong. O(size).

    ``edges`` are added, each by its own ``discovery_source``, else the report's, else manual.
    ``removed`` has ``DependencyKey`` entries; without a discovery source they mean every source.
    """
    change = Change([], [], [], [])
    document = json_document(raw)
    for where, entry in _entries(document):
        rest = dict(entry)
        removed = rest.pop("removed", [])
        report = read_message(where, rest, IngestGraphRequest)
        change.reports.extend(_by_source(where, report))
        change.removed.extend(_keys(where, removed))
        change.added.extend(report.edges)
        prefix = f"{where}, " if isinstance(document, list) else ""
        change.places.extend(f"{prefix}edges[{index}]" for index in range(len(report.edges)))
    return change


def _entries(document: Any) -> list[tuple[str, dict[str, Any]]]:
    """List the reports of a document, each with what messages call it."""
    if isinstance(document, dict):
        return [("the report", document)]
    if not isinstance(document, list):
        raise FormatError(f"not a graph: {_EXPECTED}, found {kind_of(document)}")
    entries = [(f"report {index}", entry) for index, entry in enumerate(document)]
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise FormatError(f"{where}: expected {_REPORT}, found {kind_of(entry)}")
        if "parent" in entry and "child" in entry:
            raise FormatError("these are calls as Jaeger reports them: 'depgraph import jaeger' reads them")
    return entries


def _by_source(where: str, report: IngestGraphRequest) -> list[IngestGraphRequest]:
    """Split a report into one a discovery source; every edge then names its source."""
    own = report.discovery_source
    edges: dict[int, list[Dependency]] = {own or DISCOVERY_SOURCE_MANUAL: []}
    for index, edge in enumerate(report.edges):
        if own and edge.discovery_source not in (0, own):
            raise FormatError(f"{where}, edges[{index}]: discovery_source is not the report's; leave it out")
        edge.discovery_source = edge.discovery_source or own or DISCOVERY_SOURCE_MANUAL
        edges.setdefault(edge.discovery_source, []).append(edge)
    reports: list[IngestGraphRequest] = []
    for source, reported in edges.items():
        nodes = report.nodes if not reports else ()
        if reported or nodes or (source == own and report.policies):
            part = _head(report)
            part.discovery_source = source  # type: ignore[assignment]
            part.nodes.extend(nodes)
            part.edges.extend(reported)
            if source == own:
                part.policies.extend(report.policies)
            reports.append(part)
    return reports


def _keys(where: str, removed: Any) -> list[DependencyKey]:
    if not isinstance(removed, list):
        raise FormatError(
            f"{where}: removed is not a list of "
            '{"source_service_id", "target_service_id", "discovery_source"}'
        )
    return [_key(f"{where}, removed[{index}]", key) for index, key in enumerate(removed)]


def _key(where: str, key: Any) -> DependencyKey:
    if not isinstance(key, dict):
        raise FormatError(f"{where}: expected an object with source_service_id and target_service_id")
    named = read_message(where, key, DependencyKey)
    # A list request takes an empty name for every service: all of them would be removed.
    if not named.source_service_id or not named.target_service_id:
        raise FormatError(f"{where}: source_service_id and target_service_id are both needed")
    return named


def batches(
    report: IngestGraphRequest, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
) -> Iterator[IngestGraphRequest]:
    """
    Split a report into batches of at most ``max_items`` items and about ``max_bytes``.

    Nodes come first, policies last; all have the same ``observe_time``, the report's or now. The
    last one has the report's details, the others say that more follows. A larger item is a batch of
    its own, and an empty report one empty batch. O(size).
    """
    head = _head(report)
    head.observe_time.CopyFrom(_observed(report))
    batch, size = _copy(head), 0
    for item in chain[IngestNode | Dependency | CalleePolicy](report.nodes, report.edges, report.policies):
        weight = item.ByteSize()
        if count_items([batch]) == max_items or (size and size + weight > max_bytes):
            batch.details.Clear()
            batch.details.more = True
            if report.details.HasField("interval"):
                batch.details.interval.CopyFrom(report.details.interval)
            yield batch
            batch, size = _copy(head), 0
        if isinstance(item, IngestNode):
            batch.nodes.append(item)
        elif isinstance(item, CalleePolicy):
            batch.policies.append(item)
        else:
            batch.edges.append(item)
        size += weight
    yield batch


def count_items(reports: Iterable[IngestGraphRequest]) -> int:
    """Count nodes, edges and policies together."""
    return sum(len(report.nodes) + len(report.edges) + len(report.policies) for report in reports)


def _head(report: IngestGraphRequest) -> IngestGraphRequest:
    """Copy what a report says of itself, without what it is made of."""
    head = IngestGraphRequest(
        discovery_source=report.discovery_source,
        observe_time=report.observe_time if report.HasField("observe_time") else None,
        reporter=report.reporter,
    )
    if report.HasField("observation_granularity"):
        head.observation_granularity.CopyFrom(report.observation_granularity)
    if report.HasField("details"):
        head.details.CopyFrom(report.details)
    return head


def _observed(report: IngestGraphRequest) -> Timestamp:
    if report.HasField("observe_time"):
        return report.observe_time
    now = Timestamp()
    now.GetCurrentTime()
    return now


def _copy(head: IngestGraphRequest) -> IngestGraphRequest:
    batch = IngestGraphRequest()
    batch.CopyFrom(head)
    return batch
