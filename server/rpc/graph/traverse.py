"""Traversals: the question, the walk, and an answer in one message, joined from encoded records."""

from collections.abc import Iterable
from operator import mul
from typing import NamedTuple, TypeAlias

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph, Direction, EdgeFilter, Reach, UnknownServiceError, reach
from server.concurrency import CooperativeYield
from server.domain.errors import ResponseTooLargeError
from server.domain.live_graph import Consistency, Freshness
from server.rpc.answers import VARINT, freshness_message, pair_records, tag, too_large
from server.rpc.questions import (
    FROM_MEMORY,
    consistency,
    edge_filter,
    is_name,
    own_names,
    resolved_field,
)
from server.rpc.validate import Check
from server.wire.columns import EnumWords
from server.wire.fields import field, varint

_DEFAULT_DEPTH, _MAX_DEPTH = 3, 10
_DIRECTION: EnumWords[str, pb.Direction.ValueType] = EnumWords(
    pb.Direction, [direction.value for direction in Direction]
)
_VIEW: EnumWords[str, pb.TraversalView.ValueType] = EnumWords(pb.TraversalView, ["full", "ids"])
_DIRECTIONS = {number: Direction(word) for number, word in _DIRECTION.word.items()}
_IS_FULL = {number: word != "ids" for number, word in _VIEW.word.items()} | {0: True}
_NO_FILTER = EdgeFilter()
_WITH_STALE = EdgeFilter.of(include_stale=True)

_DEPTHS = tag(pb.TraverseResponse, "depths")
_FRESHNESS = tag(pb.TraverseResponse, "freshness")
_TRUNCATED = tag(pb.TraverseResponse, "truncated", VARINT) + b"\x01"
# A depth takes one byte, for there are at most ten hops.
_DEPTH_BYTES = tuple(bytes((depth,)) for depth in range(1, 128))
# From so many records on, their size is added up first, so that nothing huge is joined in vain.
_MANY_RECORDS = 512

_Request: TypeAlias = pb.TraverseRequest | pb.StreamTraverseRequest


class TraverseQuestion(NamedTuple):
    """
    One traversal as requested.

    ``full`` = services and dependencies, not only names; ``max_services`` 0 = no limit;
    ``effective`` = over pairs of services.
    """

    service_id: str
    direction: Direction
    max_depth: int
    edge_filter: EdgeFilter
    full: bool
    max_services: int
    consistency: Consistency
    effective: bool


def traverse_question(request: _Request) -> TraverseQuestion:
    """Read a request; raises ``InvalidInputError`` with everything that is wrong with it."""
    name, max_services = request.service_id, request.max_services
    depth = request.max_depth or _DEFAULT_DEPTH
    direction, full = _DIRECTIONS.get(request.direction), _IS_FULL.get(request.view)
    # Most requests are this plain, and this look costs a tenth of the full checks.
    if (
        direction is None
        or full is None
        or not is_name(name)
        or not 0 < depth <= _MAX_DEPTH
        or max_services < 0
        or request.HasField("filter")
        or request.HasField("consistency")
    ):
        return _checked_question(request)
    passing = _WITH_STALE if request.include_stale else _NO_FILTER
    return TraverseQuestion(
        name, direction, depth, passing, full, max_services, FROM_MEMORY, request.effective
    )


def _checked_question(request: _Request) -> TraverseQuestion:
    check = Check()
    service_id = check.text("service_id", request.service_id)
    direction = check.word("direction", request.direction, _DIRECTION, Direction.DOWNSTREAM.value)
    depth = check.number("max_depth", request.max_depth, 0, _MAX_DEPTH, f"0 = {_DEFAULT_DEPTH}")
    view = check.optional_word("view", request.view, _VIEW)
    max_services = check.at_least("max_services", request.max_services, 0)
    passing = edge_filter(check, request.filter, include_stale=request.include_stale)
    freshness = consistency(check, request.consistency)
    check.done()
    return TraverseQuestion(
        service_id,
        Direction(direction),
        depth or _DEFAULT_DEPTH,
        passing,
        view != "ids",
        max_services,
        freshness,
        request.effective,
    )


def walk(graph: DependencyGraph, question: TraverseQuestion) -> tuple[Reach, bytes]:
    """
    Walk; returns the encoded ``TraverseResponse.resolved_aliases``, too.

    Raises ``ServiceNotFoundError``.
    """
    name, direction, depth, passing, full, max_services, _, effective = question
    try:
        found = reach(
            graph,
            name,
            direction,
            depth,
            passing,
            max_services=max_services,
            with_dependencies=full,
            effective=effective,
        )
    except UnknownServiceError:
        # Looked up only now: nearly all questions name a service by its own name.
        [own] = own_names(graph, name)
        found, _ = walk(graph, question._replace(service_id=own))
        return found, resolved_field(pb.TraverseResponse, [name], [own])
    if effective and full:
        # Joining these takes many slices: without a copy each call would keep a queue of walks
        # alive meanwhile, megabytes of a large graph.
        found.nodes, found.edges = found.nodes.copy(), found.edges.copy()
    return found, b""


def traverse_answer(
    graph: DependencyGraph, question: TraverseQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer a question about plain dependencies with the bytes of a ``TraverseResponse``.

    Raises ``ServiceNotFoundError`` and ``ResponseTooLargeError``. O(edges walked + answer).
    """
    found, resolved = walk(graph, question)
    head = freshness_field(freshness) + resolved
    answer = joined_answer(graph, found, head, limit, full=question.full)
    if answer is None:
        raise _too_large(found, limit, full=question.full)
    return answer


async def sliced_answer(
    graph: DependencyGraph, question: TraverseQuestion, freshness: Freshness, limit: int
) -> bytes:
    """
    Answer any question as ``traverse_answer`` does, effective dependencies in slices.

    All that is needed of the graph is taken before the first await.
    """
    found, resolved = walk(graph, question)
    answer = await joined(graph, found, question, freshness_field(freshness) + resolved, limit)
    if answer is None:
        raise _too_large(found, limit, full=question.full)
    return answer


def joined_answer(
    graph: DependencyGraph, found: Reach, head: bytes, limit: int, *, full: bool
) -> bytes | None:
    """
    Join the answer from the records of what was found; the graph must be unchanged since the walk.

    ``head`` are the encoded fields of the freshness and of resolved aliases. None = it takes more
    than ``limit`` bytes. O(answer).
    """
    nodes = found.nodes
    records: list[bytes] = graph.service_encoded_ids.take(nodes).tolist()
    records.append(depths_field(packed_depths(found.depth_counts)))
    if full:
        records = graph.service_payloads.take(nodes).tolist() + records
        records += graph.dependency_payloads.take(found.edges).tolist()
    records += (truncated_field(found), head)
    if len(records) > _MANY_RECORDS and sum(map(len, records)) > limit:
        return None
    answer = b"".join(records)
    return answer if len(answer) <= limit else None


async def joined(
    graph: DependencyGraph, found: Reach, question: TraverseQuestion, head: bytes, limit: int
) -> bytes | None:
    """Join any answer as ``joined_answer`` does, effective dependencies in slices."""
    if not (question.effective and question.full):
        return joined_answer(graph, found, head, limit, full=question.full)
    rest = joined_answer(graph, without_dependencies(found), head, limit, full=True)
    if rest is None:
        return None
    pieces, room = [rest], limit - len(rest)
    yielding = CooperativeYield()
    for record in pair_records(graph, found.edges, question.edge_filter).merged():
        room -= len(record)
        if room < 0:
            return None
        pieces.append(record)
        await yielding.checkpoint()
    return b"".join(pieces)


def without_dependencies(found: Reach) -> Reach:
    """Return the services of a walk alone."""
    return Reach(found.nodes, found.depth_counts, found.edges[:0], found.truncated)


def packed_depths(counts: Iterable[int]) -> bytes:
    """Encode the depths, one byte each, from the number of services at each depth from 1 on."""
    return b"".join(map(mul, _DEPTH_BYTES, counts))


def depths_field(packed: bytes) -> bytes:
    """Encode ``TraverseResponse.depths``."""
    return _DEPTHS + varint(len(packed)) + packed if packed else b""


def truncated_field(found: Reach) -> bytes:
    """Encode ``TraverseResponse.truncated``."""
    return _TRUNCATED if found.truncated else b""


def freshness_field(freshness: Freshness) -> bytes:
    """Encode ``TraverseResponse.freshness``."""
    return field(_FRESHNESS, freshness_message(freshness))


def _too_large(found: Reach, limit: int, *, full: bool) -> ResponseTooLargeError:
    return too_large(
        f"{len(found.nodes):,} services and {len(found.edges):,} dependencies",
        limit,
        "stream it with StreamTraverse, or set max_services" + ", or ask for TRAVERSAL_VIEW_IDS" * full,
    )
