"""Walks as parts of bounded size: services first, then dependencies."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore import DependencyGraph, Reach
from server.concurrency.cooperative_yield import CooperativeYield
from server.rpc.answer_fields import TRAVERSE_TRUNCATED, depths_field, packed_depths

# Tag and length of the packed depths.
_PACKED_HEADER = 6
_RECORDS_A_BREATH = 4_096
_NO_RECORDS: NDArray[np.object_] = np.empty(0, object)


class Walked(NamedTuple):
    """What a walk found, as records, the depths packed; stays as it is while the graph moves on. No ``services`` = ids alone."""

    services: NDArray[np.object_]
    briefs: NDArray[np.object_]
    depths: bytes
    dependencies: NDArray[np.object_]
    truncated: bytes


def walked(graph: DependencyGraph, found: Reach, *, full: bool) -> Walked:
    """Take references to the records of what was found, in the state of the graph that it was found in. O(answer), no bytes are copied."""
    return Walked(
        graph.service_payloads[found.nodes] if full else _NO_RECORDS,
        graph.service_briefs[found.nodes],
        packed_depths(found.depth_counts),
        graph.dependency_payloads[found.edges] if full else _NO_RECORDS,
        TRAVERSE_TRUNCATED if found.truncated else b"",
    )


async def traverse_parts(walked: Walked, freshness: bytes, max_bytes: int) -> AsyncIterator[bytes]:
    """
    Cut an answer into parts of at most ``max_bytes``, but for a single record larger than that, which comes alone.

    The first part holds the freshness, and is due even when nothing was found. Others run every few milliseconds.
    """
    ends = np.cumsum(await _sizes(walked))
    room = max_bytes - len(walked.truncated) - _PACKED_HEADER
    first, sent, unsaid = 0, 0, freshness
    while first < len(ends) or unsaid:
        last = int(np.searchsorted(ends, sent + room - len(unsaid), side="right"))
        # One record at least, however large.
        last = min(max(last, first + 1), len(ends))
        yield _part(walked, first, last) + unsaid
        first, sent, unsaid = last, int(ends[last - 1]) if last else 0, b""


def _part(walked: Walked, first: int, last: int) -> bytes:
    """Join the records from one place to another, counted over services and then dependencies."""
    services = len(walked.briefs)
    before, after = max(first - services, 0), max(last - services, 0)
    return b"".join(
        (
            *walked.services[first:last].tolist(),
            *walked.briefs[first:last].tolist(),
            depths_field(walked.depths[first:last]),
            *walked.dependencies[before:after].tolist(),
            walked.truncated,
        )
    )


async def _sizes(walked: Walked) -> NDArray[np.int64]:
    """Measure what each service and each dependency takes; a service's record, id and depth travel together."""
    briefs, dependencies = await _lengths(walked.briefs), await _lengths(walked.dependencies)
    services = await _lengths(walked.services) if len(walked.services) else 0
    return np.concatenate((briefs + services + 1, dependencies))


async def _lengths(records: NDArray[np.object_]) -> NDArray[np.int64]:
    lengths = np.empty(len(records), np.int64)
    yielding = CooperativeYield()
    for start in range(0, len(records), _RECORDS_A_BREATH):
        some = records[start : start + _RECORDS_A_BREATH].tolist()
        lengths[start : start + len(some)] = list(map(len, some))
        await yielding.checkpoint()
    return lengths
