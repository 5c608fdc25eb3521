"""Answers as streams of messages of bounded size: traversals and the adjacency list."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph, Reach
from server.concurrency import CooperativeYield
from server.rpc.answers import PairRecords, joined_parts, pair_records, tag
from server.rpc.graph.traverse import (
    TraverseQuestion,
    depths_field,
    packed_depths,
    truncated_field,
    walk,
    without_dependencies,
)
from server.wire.fields import field

# Tag and length of the packed depths.
_PACKED_HEADER = 6
_RECORDS_A_TURN = 4_096
_NO_RECORDS: NDArray[np.object_] = np.empty(0, object)
_SERVICE = tag(pb.GetAdjacencyListResponse, "service_id")
_TARGET = tag(pb.GetAdjacencyListResponse, "target_service_ids")
_FRESHNESS = tag(pb.GetAdjacencyListResponse, "freshness")


def traverse_stream(
    graph: DependencyGraph, question: TraverseQuestion, freshness: bytes, max_bytes: int
) -> AsyncIterator[bytes]:
    """
    Walk, and cut the answer into parts of at most ``max_bytes``; a larger record comes alone.

    ``freshness`` is the encoded field, for the first part. All that is needed of the graph is taken
    at once. Raises ``ServiceNotFoundError``.
    """
    found, resolved = walk(graph, question)
    freshness += resolved
    if not (question.effective and question.full):
        return traverse_parts(walked(graph, found, full=question.full), freshness, max_bytes)
    pairs = pair_records(graph, found.edges, question.edge_filter)
    services = walked(graph, without_dependencies(found), full=True)
    return _effective_parts(services, pairs, freshness, max_bytes)


class Walked(NamedTuple):
    """What a walk found, as encoded records, and packed depths; no ``services`` = ids alone."""

    services: NDArray[np.object_]
    ids: NDArray[np.object_]
    depths: bytes
    dependencies: NDArray[np.object_]
    truncated: bytes


def walked(graph: DependencyGraph, found: Reach, *, full: bool) -> Walked:
    """Collect them; the graph must be unchanged since the walk. O(answer), no copies of records."""
    return Walked(
        graph.service_payloads[found.nodes] if full else _NO_RECORDS,
        graph.service_encoded_ids[found.nodes],
        packed_depths(found.depth_counts),
        graph.dependency_payloads[found.edges] if full else _NO_RECORDS,
        truncated_field(found),
    )


async def traverse_parts(walked: Walked, freshness: bytes, max_bytes: int) -> AsyncIterator[bytes]:
    """
    Cut an answer into parts of at most ``max_bytes``, in slices; a larger record comes alone.

    The first part holds the freshness, and comes even when nothing was found.
    """
    ends = np.cumsum(await _sizes(walked))
    room = max_bytes - len(walked.truncated) - _PACKED_HEADER
    first, sent = 0, 0
    while first < len(ends) or freshness:
        last = int(np.searchsorted(ends, sent + room - len(freshness), side="right"))
        # One record at least, however large.
        last = min(max(last, first + 1), len(ends))
        yield _part(walked, first, last) + freshness
        first, sent, freshness = last, int(ends[last - 1]) if last else 0, b""


def _part(walked: Walked, first: int, last: int) -> bytes:
    """Join the records between two positions, counted over services, then dependencies."""
    services = len(walked.ids)
    before, after = max(first - services, 0), max(last - services, 0)
    return b"".join(
        (
            *walked.services[first:last].tolist(),
            *walked.ids[first:last].tolist(),
            depths_field(walked.depths[first:last]),
            *walked.dependencies[before:after].tolist(),
            walked.truncated,
        )
    )


async def _sizes(walked: Walked) -> NDArray[np.int64]:
    """Measure each service (its record, id and depth stay together) and each dependency."""
    ids, dependencies = await _lengths(walked.ids), await _lengths(walked.dependencies)
    services = await _lengths(walked.services) if len(walked.services) else 0
    return np.concatenate((ids + services + 1, dependencies))


async def _lengths(records: NDArray[np.object_]) -> NDArray[np.int64]:
    lengths = np.empty(len(records), np.int64)
    yielding = CooperativeYield()
    for start in range(0, len(records), _RECORDS_A_TURN):
        batch = records[start : start + _RECORDS_A_TURN].tolist()
        lengths[start : start + len(batch)] = list(map(len, batch))
        await yielding.checkpoint()
    return lengths


async def _effective_parts(
    services: Walked, pairs: PairRecords, freshness: bytes, max_bytes: int
) -> AsyncIterator[bytes]:
    async for part in traverse_parts(services, freshness, max_bytes):
        yield part
    async for part in joined_parts(pairs.merged(), max_bytes, each=services.truncated):
        yield part


def adjacency_messages(
    services: Iterable[tuple[str, Sequence[str]]], freshness: bytes, max_bytes: int
) -> Iterator[bytes]:
    """Encode a message for each service, or several; the first has the freshness."""
    once = field(_FRESHNESS, freshness)
    for name, targets in services:
        service = field(_SERVICE, name.encode())
        for run in _runs([field(_TARGET, target.encode()) for target in targets], max_bytes):
            yield service + run + once
            once = b""


def _runs(fields: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """Join fields to runs of at most ``max_bytes``; one empty run for no fields."""
    whole = b"".join(fields)
    if len(whole) <= max_bytes:
        yield whole
        return
    start, room = 0, max_bytes
    for position, each in enumerate(fields):
        if len(each) > room:
            yield b"".join(fields[start:position])
            start, room = position, max_bytes
        room -= len(each)
    yield b"".join(fields[start:])
