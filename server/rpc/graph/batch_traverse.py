"""Many walks in one call, all over one snapshot."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TypeAlias

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.consistency import AtLeastAsFresh, Consistency, Freshness, MinimizeLatency
from server.domain.errors import DomainError, InvalidInputError, NotReadyError, ResponseTooLargeError
from server.rpc.answer_fields import (
    BATCH_FRESHNESS,
    BATCH_RESULT,
    RESULT_ERROR,
    RESULT_TRAVERSAL,
    TRAVERSE_FRESHNESS,
    freshness_message,
)
from server.rpc.decode_graph import TraverseQuestion, traverse_question
from server.rpc.errors import status_of
from server.rpc.graph.effective_answer import joined_effective
from server.rpc.graph.traverse import joined_answer, walk
from server.rpc.ports import LiveGraph
from server.rpc.validate import Check
from server.wire.fields import field, varint

MAX_REQUESTS = 1_000
# Tags and lengths of a result and the outcome in it, at most.
_RESULT_HEADER = 2 * 6

Asked: TypeAlias = TraverseQuestion | DomainError
TimeLeft: TypeAlias = Callable[[], timedelta | None]


async def batch_traverse(
    live: LiveGraph, request: pb.BatchTraverseRequest, limit: int, time_left: TimeLeft
) -> bytes:
    """
    Answer every request, in at most ``limit`` bytes; what is wrong with one is its own outcome.

    The graph stands still from the first walk to the last, while others run every few milliseconds. Raises ``InvalidInputError`` for
    too few or too many requests, ``NotReadyError``, and ``ResponseTooLargeError`` when not even the errors fit.
    """
    asked = await _asked(request)
    wanted = {question.consistency for question in asked if isinstance(question, TraverseQuestion)}
    fresh = _Freshening(live, wanted - {MinimizeLatency()})
    while True:
        await fresh.wait(time_left)
        async with live.read_lock():
            graph, freshness = live.now(), live.freshness()
            # Memory may have been read anew from another database while the graph came to a stand.
            if fresh.is_there:
                return await _answers(graph, freshness, fresh.told(asked), limit)


async def _asked(request: pb.BatchTraverseRequest) -> list[Asked]:
    """Read the requests; one that is wrong is the error that it will be answered with."""
    check = Check()
    check.at_most("requests", request.requests, MAX_REQUESTS)
    if not request.requests:
        check.add("requests", f"is empty; give 1–{MAX_REQUESTS:,} requests")  # noqa: RUF001 - the dash of ranges
    check.done()
    asked: list[Asked] = []
    yielding = CooperativeYield()
    for each in request.requests:
        try:
            asked.append(traverse_question(each))
        except InvalidInputError as error:
            asked.append(error)
        await yielding.checkpoint()
    return asked


class _Freshening:
    """Waits until memory is as fresh as all of a batch's requests want it, and remembers for which that failed."""

    def __init__(self, live: LiveGraph, wanted: Iterable[Consistency]) -> None:
        self._live = live
        self._wanted = set(wanted)
        self._waiting = set(wanted)
        self._failed: dict[Consistency, DomainError] = {}

    async def wait(self, time_left: TimeLeft) -> None:
        """Wait for all of them at once, at most the time that is left; raises ``NotReadyError``."""
        waiting = tuple(self._waiting)
        if not waiting:
            return
        within = time_left()
        came = await asyncio.gather(
            *(self._live.at(wanted, within) for wanted in waiting), return_exceptions=True
        )
        for wanted, outcome in zip(waiting, came, strict=True):
            if isinstance(outcome, DomainError) and not isinstance(outcome, NotReadyError):
                self._failed[wanted] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
        self._waiting.clear()

    @property
    def is_there(self) -> bool:
        """Whether memory holds now what was waited for, without failure."""
        self._waiting = {
            wanted
            for wanted in self._wanted - self._failed.keys()
            if isinstance(wanted, AtLeastAsFresh) and not self._live.holds(wanted.revision)
        }
        return not self._waiting

    def told(self, asked: Sequence[Asked]) -> list[Asked]:
        """Put the errors in the places of the requests that wanted too much."""
        return [
            self._failed.get(each.consistency, each) if isinstance(each, TraverseQuestion) else each
            for each in asked
        ]


async def _answers(graph: DependencyGraph, freshness: Freshness, asked: Sequence[Asked], limit: int) -> bytes:
    """Join the outcomes; the first ones get the room there is, but for what it takes to tell the others that none is left."""
    said = freshness_message(freshness)
    no_room = _no_room(limit)
    head = field(BATCH_FRESHNESS, said)
    room = limit - len(head) - len(asked) * len(no_room)
    if room < 0:
        raise ResponseTooLargeError(
            f"not even the errors for {len(asked):,} requests fit the response limit of {limit:,} bytes: ask for fewer at a time",
            limit_bytes=str(limit),
        )
    own_freshness = field(TRAVERSE_FRESHNESS, said)
    pieces: list[bytes] = []
    yielding = CooperativeYield()
    for each in asked:
        # No outcome leaves less room than that there is none left.
        result = await _result(graph, each, own_freshness, room + len(no_room)) or (no_room,)
        room -= sum(map(len, result)) - len(no_room)
        pieces += result
        await yielding.checkpoint()
    pieces.append(head)
    return b"".join(pieces)


async def _result(
    graph: DependencyGraph, asked: Asked, freshness: bytes, room: int
) -> tuple[bytes, ...] | None:
    """Answer one request as a result, in pieces; None = that takes more bytes than there is room."""
    try:
        if isinstance(asked, DomainError):
            raise asked
        found, limit = walk(graph, asked), room - _RESULT_HEADER
        if asked.effective and asked.full:
            answer = await joined_effective(graph, found, asked.edge_filter, freshness, limit)
        else:
            answer = joined_answer(graph, found, freshness, limit, full=asked.full)
    except DomainError as error:
        result = _failed(error)
        return (result,) if len(result) <= room else None
    if answer is None:
        return None
    # The answer itself is not copied until all are joined.
    outcome = RESULT_TRAVERSAL + varint(len(answer))
    return BATCH_RESULT + varint(len(outcome) + len(answer)) + outcome, answer


def _failed(error: DomainError) -> bytes:
    return field(BATCH_RESULT, field(RESULT_ERROR, status_of(error).SerializeToString()))


@lru_cache(8)
def _no_room(limit: int) -> bytes:
    return _failed(
        ResponseTooLargeError(
            f"this answer does not fit the response limit of {limit:,} bytes beside those before it: ask for it in another call, "
            "stream it with StreamTraverse, set max_services, or ask for TRAVERSAL_VIEW_IDS",
            limit_bytes=str(limit),
        )
    )
