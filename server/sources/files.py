"""A source that is files: manifests, a catalog in a repository, exports of other programs."""

import glob
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestNode
from server.formats.backstage import backstage_reading, entities_of
from server.formats.documents import FormatError
from server.formats.kubernetes import kubernetes_reading
from server.formats.native import read_native
from server.formats.reading import Reading, Skipped
from server.formats.recognition import format_of, read
from server.formats.yaml_documents import documents
from server.sources.source import PullError, Source

if TYPE_CHECKING:
    from depgraph.v1.types_pb2 import Dependency


def read_files(source: Source, max_bytes: int) -> Reading:
    """
    Read all files of a source as one; raises ``PullError``. O(size).

    An object of one file may refer to an object of another. Files of the kind ``file`` may have
    different formats, which their contents show.
    """
    contents = _contents(source, max_bytes)
    match source.kind:
        case "kubernetes":
            return kubernetes_reading(_documents(contents), source.names)
        case "backstage":
            entities, _ = entities_of(_documents(contents))
            return backstage_reading(entities, source.names)
        case _:
            return _joined([_reading(file, raw, source) for file, raw in contents])


def _contents(source: Source, left: int) -> Iterator[tuple[Path, bytes]]:
    for pattern in source.paths:
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may be absolute
        files = [path for each in found if (path := Path(each)).is_file()]
        if not files:
            raise PullError(f"there is no file {pattern}")
        for file in files:
            try:
                raw = file.read_bytes()
            except OSError as error:
                raise PullError(f"{file}: {error.strerror or error}") from None
            left -= len(raw)
            if left < 0:
                raise PullError(f"{file}: with it, the files of path take too many bytes")
            yield file, raw


def _documents(contents: Iterator[tuple[Path, bytes]]) -> Iterator[Any]:
    for file, raw in contents:
        if not raw.strip():
            continue
        try:
            yield from documents(raw)
        except FormatError as error:
            raise PullError(f"{file}: {error}") from None


def _reading(file: Path, raw: bytes, source: Source) -> Reading:
    try:
        form = format_of(raw)
        if form != "json":
            return read(form, raw, source.names)
        whole = IngestGraphRequest()
        for report in read_native(raw):
            whole.nodes.extend(report.nodes)
            whole.edges.extend(report.edges)
            whole.policies.extend(report.policies)
    except FormatError as error:
        raise PullError(f"{file}: {error}") from None
    return Reading(report=whole, element_count=len(whole.nodes) + len(whole.edges))


def _joined(readings: list[Reading]) -> Reading:
    """Join reports; of a service or pair that several have, the first stays."""
    nodes: dict[str, IngestNode] = {}
    edges: dict[tuple[str, str], Dependency] = {}
    skipped: dict[str, Skipped] = {}
    for reading in readings:
        for node in reading.report.nodes:
            nodes.setdefault(node.service_id, node)
        for edge in reading.report.edges:
            edges.setdefault((edge.source_service_id, edge.target_service_id), edge)
            edge.ClearField("discovery_source")
        for each in reading.skipped:
            known = skipped.get(each.reason)
            skipped[each.reason] = replace(each, count=each.count + known.count) if known else each
    policies = chain.from_iterable(reading.report.policies for reading in readings)
    report = IngestGraphRequest(nodes=nodes.values(), edges=edges.values(), policies=policies)
    return Reading(
        report=report,
        element_count=sum(reading.element_count for reading in readings),
        skipped=tuple(skipped.values()),
    )
