"""Walks over effective dependencies as answers: each pair is merged when it is asked for, a few at a time."""

from collections.abc import AsyncIterator

from graphcore import DependencyGraph, EdgeFilter, Reach
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.consistency import Freshness
from server.rpc.answer_fields import traverse_freshness
from server.rpc.decode_graph import TraverseQuestion
from server.rpc.effective import PairRecords, pair_records
from server.rpc.graph.traverse import joined_answer, too_large, walk
from server.rpc.graph.traverse_parts import Walked, traverse_parts, walked


async def effective_answer(
    graph: DependencyGraph, question: TraverseQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer a question that asks for effective dependencies with the bytes of a ``TraverseResponse``.

    Nothing is awaited before all that is needed of the graph has been taken. Raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``.
    """
    found, told = walk(graph, question), traverse_freshness(freshness)
    if question.full:
        joined = await joined_effective(graph, found, question.edge_filter, told, limit)
    else:
        joined = joined_answer(graph, found, told, limit, full=False)
    if joined is None:
        raise too_large(found, limit, full=question.full)
    return joined


async def joined_effective(
    graph: DependencyGraph, found: Reach, edge_filter: EdgeFilter, freshness: bytes, limit: int
) -> bytes | None:
    """
    Join the answer to a walk over effective dependencies, merging these in slices.

    None = it would take more than ``limit`` bytes. O(answer).
    """
    rest = joined_answer(graph, _services_alone(found), freshness, limit, full=True)
    if rest is None:
        return None
    pieces, room = [rest], limit - len(rest)
    yielding = CooperativeYield()
    for record in pair_records(graph, found.edges, edge_filter).merged():
        room -= len(record)
        if room < 0:
            return None
        pieces.append(record)
        await yielding.checkpoint()
    return b"".join(pieces)


def traverse_stream(
    graph: DependencyGraph, question: TraverseQuestion, freshness: bytes, max_bytes: int
) -> AsyncIterator[bytes]:
    """
    Walk, and cut the answer into parts of at most ``max_bytes``, but for a single record larger than that, which comes alone.

    All that is needed of the graph is taken at once. Raises ``ServiceNotFoundError``.
    """
    found = walk(graph, question)
    if not (question.effective and question.full):
        return traverse_parts(walked(graph, found, full=question.full), freshness, max_bytes)
    pairs = pair_records(graph, found.edges, question.edge_filter)
    return _effective_parts(walked(graph, _services_alone(found), full=True), pairs, freshness, max_bytes)


async def _effective_parts(
    services: Walked, pairs: PairRecords, freshness: bytes, max_bytes: int
) -> AsyncIterator[bytes]:
    async for part in traverse_parts(services, freshness, max_bytes):
        yield part
    room = max_bytes - len(services.truncated)
    pieces, size = [services.truncated], 0
    yielding = CooperativeYield()
    for record in pairs.merged():
        if size and size + len(record) > room:
            yield b"".join(pieces)
            pieces, size = [services.truncated], 0
        pieces.append(record)
        size += len(record)
        await yielding.checkpoint()
    if size:
        yield b"".join(pieces)


def _services_alone(found: Reach) -> Reach:
    return Reach(found.nodes, found.depth_counts, found.edges[:0], found.truncated)
