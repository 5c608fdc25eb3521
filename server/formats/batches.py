"""Splits reports of any length into batches that one call may carry."""

from collections.abc import Iterable, Iterator
from itertools import chain

from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestNode
from depgraph.v1.types_pb2 import Dependency

# By default a server takes 10,000 items and 2 MiB a call; half of that is left for other fields.
MAX_ITEMS = 10_000
MAX_BYTES = 1024 * 1024


def batches(
    report: IngestGraphRequest, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
) -> Iterator[IngestGraphRequest]:
    """
    Split a report into batches of at most ``max_items`` items and about ``max_bytes``, nodes first.

    All have the same ``observe_time``, the report's or now. An item larger than ``max_bytes`` is a
    batch of its own. An empty report is one empty batch. O(size).
    """
    head = IngestGraphRequest(discovery_source=report.discovery_source, observe_time=_observed(report))
    batch, size, sent = _copy(head), 0, False
    for item in chain[IngestNode | Dependency](report.nodes, report.edges):
        weight = item.ByteSize()
        if len(batch.nodes) + len(batch.edges) == max_items or (size and size + weight > max_bytes):
            yield batch
            batch, size, sent = _copy(head), 0, True
        _add(batch, item)
        size += weight
    if size or not sent:
        yield batch


def count_items(reports: Iterable[IngestGraphRequest]) -> int:
    """Count nodes and edges together."""
    return sum(len(report.nodes) + len(report.edges) for report in reports)


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


def _add(batch: IngestGraphRequest, item: IngestNode | Dependency) -> None:
    if isinstance(item, IngestNode):
        batch.nodes.append(item)
    else:
        batch.edges.append(item)
