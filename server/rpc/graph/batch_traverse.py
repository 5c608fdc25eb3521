"""BatchTraverse: many walks in one call, all over one snapshot."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from depgraph.v1 import graph_service_pb2 as pb
from server.concurrency import CooperativeYield
from server.domain.errors import DomainError, InvalidInputError, NotReadyError, ResponseTooLargeError
from server.domain.live_graph import (
    AsOf,
    AtLeastAsFresh,
    Consistency,
    LiveGraph,
    MinimizeLatency,
    Reading,
)
from server.rpc.answers import freshness_message, tag
from server.rpc.context import TimeLeft
from server.rpc.errors import status_of
from server.rpc.graph.traverse import (
    TraverseQuestion,
    freshness_field,
    joined,
    traverse_question,
    walk,
)
from server.rpc.past_answers import of_then
from server.rpc.validate import Check
from server.wire.fields import field, varint

MAX_REQUESTS = 1_000
_RESULT = tag(pb.BatchTraverseResponse, "responses")
_FRESHNESS = tag(pb.BatchTraverseResponse, "freshness")
_TRAVERSAL = tag(pb.BatchTraverseResult, "traversal")
_ERROR = tag(pb.BatchTraverseResult, "error")
# Tags and lengths of a result and the outcome in it, at most.
_RESULT_HEADER = 2 * 6

# A request as read, or the error that is its outcome.
_Read: TypeAlias = TraverseQuestion | DomainError


async def batch_traverse(
    live: LiveGraph, request: pb.BatchTraverseRequest, limit: int, time_left: TimeLeft
) -> bytes:
    """
    Answer every request, in at most ``limit`` bytes; the error of a request is its own outcome.

    The graph does not change from the first walk to the last, while other calls run. Raises
    ``InvalidInputError`` for too few or too many requests or two times, ``NotReadyError``, what
    ``LiveGraph.at`` raises for a former time, and ``ResponseTooLargeError`` when not even the
    errors fit.
    """
    read = await _read(request)
    as_of = _one_time(read)
    if as_of is not None:
        async with live.hold(await live.at(as_of, time_left())) as held:
            return await _answers(held, read, limit)
    wanted = {each.consistency for each in read if isinstance(each, TraverseQuestion)} - {MinimizeLatency()}
    missing, failed = wanted, dict[Consistency, DomainError]()
    while True:
        failed |= await _failures(live, missing, time_left)
        async with live.hold(await live.at(MinimizeLatency(), None)) as held:
            # The replica may have loaded another database before the graph stopped changing.
            missing = {
                each
                for each in wanted - failed.keys()
                if isinstance(each, AtLeastAsFresh) and not live.holds(each.revision)
            }
            if not missing:
                outcomes = [
                    failed.get(each.consistency, each) if isinstance(each, TraverseQuestion) else each
                    for each in read
                ]
                return await _answers(held, outcomes, limit)


async def _read(request: pb.BatchTraverseRequest) -> list[_Read]:
    """Read the requests; other calls run meanwhile."""
    check = Check()
    check.at_most("requests", request.requests, MAX_REQUESTS)
    if not request.requests:
        check.add("requests", f"is empty; give 1–{MAX_REQUESTS:,} requests")  # noqa: RUF001 - the dash of ranges
    check.done()
    read: list[_Read] = []
    yielding = CooperativeYield()
    for each in request.requests:
        try:
            read.append(traverse_question(each))
        except InvalidInputError as error:
            read.append(error)
        await yielding.checkpoint()
    return read


def _one_time(read: Sequence[_Read]) -> AsOf | None:
    """Return the former time that all requests name; None = all ask about now."""
    asked = [
        (place, each.consistency) for place, each in enumerate(read) if isinstance(each, TraverseQuestion)
    ]
    times = [wanted if isinstance(wanted, AsOf) else None for _, wanted in asked]
    check = Check()
    for (place, _), time in zip(asked, times, strict=True):
        if time != times[0]:
            others = "the requests before it, which ask about " + (
                "now" if times[0] is None else times[0].time.isoformat()
            )
            check.add(
                f"requests[{place}].consistency.as_of",
                f"differs from {others}: all answers of a batch come from one snapshot",
            )
            break
    check.done()
    return times[0] if times else None


async def _failures(
    live: LiveGraph, wanted: set[Consistency], time_left: TimeLeft
) -> dict[Consistency, DomainError]:
    """Wait until memory is as fresh as wanted; returns errors other than ``NotReadyError``."""
    failed: dict[Consistency, DomainError] = {}
    if wanted:
        within = time_left()
        outcomes = await asyncio.gather(*(live.at(each, within) for each in wanted), return_exceptions=True)
        for each, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, DomainError) and not isinstance(outcome, NotReadyError):
                failed[each] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
    return failed


async def _answers(reading: Reading, read: Sequence[_Read], limit: int) -> bytes:
    """Join the outcomes. The first ones get the room, except that for errors of the others."""
    no_room = _no_room(limit)
    head = field(_FRESHNESS, freshness_message(reading.freshness))
    room = limit - len(head) - len(read) * len(no_room)
    if room < 0:
        raise ResponseTooLargeError(
            f"not even the errors for {len(read):,} requests fit the response limit of {limit:,} bytes: "
            "ask for fewer at a time",
            limit_bytes=str(limit),
        )
    own_freshness = freshness_field(reading.freshness)
    pieces: list[bytes] = []
    yielding = CooperativeYield()
    for each in read:
        result = await _result(reading, each, own_freshness, room + len(no_room)) or (no_room,)
        room -= sum(map(len, result)) - len(no_room)
        pieces += result
        await yielding.checkpoint()
    pieces.append(head)
    return b"".join(pieces)


async def _result(reading: Reading, read: _Read, head: bytes, room: int) -> tuple[bytes, ...] | None:
    """Answer one request as a result, in pieces; None = it takes more bytes than there is room."""
    try:
        if isinstance(read, DomainError):
            raise read
        graph = reading.graph
        found, resolved = walk(graph, read)
        answer = await joined(graph, found, read, head + resolved, room - _RESULT_HEADER)
    except DomainError as error:
        result = _failed(error)
        return (result,) if len(result) <= room else None
    if answer is None:
        return None
    answer = await of_then(answer, pb.TraverseResponse, reading.freshness)
    # The answer itself is not copied until all are joined.
    outcome = _TRAVERSAL + varint(len(answer))
    return _RESULT + varint(len(outcome) + len(answer)) + outcome, answer


def _failed(error: DomainError) -> bytes:
    return field(_RESULT, field(_ERROR, status_of(error).SerializeToString()))


@lru_cache(8)
def _no_room(limit: int) -> bytes:
    return _failed(
        ResponseTooLargeError(
            f"this answer does not fit the response limit of {limit:,} bytes beside those before it: "
            "ask for it in another call, stream it with StreamTraverse, set max_services, "
            "or ask for TRAVERSAL_VIEW_IDS",
            limit_bytes=str(limit),
        )
    )
