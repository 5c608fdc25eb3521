"""Walks as answers: joined from records that stand ready in the graph."""

from graphcore import DependencyGraph, Reach, UnknownServiceError, reach
from graphcore.traversal.reach import effective_reach
from server.domain.consistency import Freshness
from server.domain.errors import ResponseTooLargeError, ServiceNotFoundError
from server.rpc.answer_fields import TRAVERSE_TRUNCATED, depths_field, packed_depths, traverse_freshness
from server.rpc.decode_graph import TraverseQuestion
from server.rpc.graph.traverse_requests import question_of
from server.rpc.validate import shown

# Records joined before the size is looked at: few enough that nothing huge is built in vain, many enough to cost nothing.
_RECORDS_A_LOOK = 512


def answer(graph: DependencyGraph, request: bytes, freshness: Freshness, limit: int) -> bytes:
    """
    Answer the bytes of a ``TraverseRequest`` with those of a ``TraverseResponse``, whatever the request says of consistency.

    One that asks for effective dependencies is the matter of ``effective_answer``. Raises ``InvalidInputError``, ``ServiceNotFoundError`` and ``ResponseTooLargeError``. O(edges walked over + answer).
    """
    return traverse_answer(graph, question_of(request), freshness, limit)


def traverse_answer(
    graph: DependencyGraph, question: TraverseQuestion, freshness: Freshness, limit: int
) -> bytes:
    """Answer a question; raises as ``answer`` does."""
    found = walk(graph, question)
    joined = joined_answer(graph, found, traverse_freshness(freshness), limit, full=question.full)
    if joined is None:
        raise too_large(found, limit, full=question.full)
    return joined


def walk(graph: DependencyGraph, question: TraverseQuestion) -> Reach:
    """Walk; raises ``ServiceNotFoundError``."""
    name, direction, depth, edge_filter, full, max_services, _, effective = question
    walker = effective_reach if effective else reach
    try:
        return walker(
            graph, name, direction, depth, edge_filter, max_services=max_services, with_dependencies=full
        )
    except UnknownServiceError:
        raise ServiceNotFoundError(f"no service named {shown(name)}", service_id=name) from None


def joined_answer(
    graph: DependencyGraph, found: Reach, freshness: bytes, limit: int, *, full: bool
) -> bytes | None:
    """
    Join the answer from the records of what was found, in the state of the graph that it was found in.

    None = it would take more than ``limit`` bytes. O(answer).
    """
    nodes = found.nodes
    records: list[bytes] = graph.service_briefs.take(nodes).tolist()
    records.append(depths_field(packed_depths(found.depth_counts)))
    if full:
        records = graph.service_payloads.take(nodes).tolist() + records
        records += graph.dependency_payloads.take(found.edges).tolist()
    if found.truncated:
        records.append(TRAVERSE_TRUNCATED)
    records.append(freshness)
    if len(records) > _RECORDS_A_LOOK:
        return _joined_within(records, limit)
    joined = b"".join(records)
    return joined if len(joined) <= limit else None


def _joined_within(records: list[bytes], limit: int) -> bytes | None:
    pieces, room = [], limit
    for start in range(0, len(records), _RECORDS_A_LOOK):
        piece = b"".join(records[start : start + _RECORDS_A_LOOK])
        room -= len(piece)
        if room < 0:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def too_large(found: Reach, limit: int, *, full: bool) -> ResponseTooLargeError:
    """Say that an answer would be too large, and what to do."""
    ways = ["stream it with StreamTraverse", "set max_services"] + ["ask for TRAVERSAL_VIEW_IDS"] * full
    return ResponseTooLargeError(
        f"the answer holds {len(found.nodes):,} services and {len(found.edges):,} dependencies, "
        f"more than fit the response limit of {limit:,} bytes: {', or '.join(ways)}",
        limit_bytes=str(limit),
    )
