"""Callers of the soak who use gRPC's own client."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from depgraph.v1 import graph_service_pb2 as graph
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.soak_graph import HUB
from tests.support.soak_questions import TRAVERSE, Question
from tests.support.soak_round import Round

CALLERS = 3
CALLS_A_CHANNEL = 20
# In calls of the fast ones.
PAUSE = 200
_TIME_FOR_ALL = 30.0


async def ask_officially(turn: Round) -> None:
    """Open a channel, ask, cancel, run out of time, and close it with calls open."""
    asked = cycle(question for question in turn.questions if question.method == TRAVERSE)
    while not turn.is_over:
        async with open_channel(turn.address) as channel:
            await asyncio.gather(*(_ask(turn, channel, asked, first) for first in range(CALLERS)))
            # Closing cancels them.
            left = [
                asyncio.ensure_future(_answer(channel, next(asked), _TIME_FOR_ALL)) for _ in range(CALLERS)
            ]
            watching = Stubs(channel).graph.Watch(graph.WatchRequest(include_state=True))
            await watching.initial_metadata()
        await asyncio.gather(*left, return_exceptions=True)
        turn.counts["channels closed"] += 1


async def _ask(turn: Round, channel: grpc.aio.Channel, asked: Iterator[Question], first: int) -> None:
    ways = [_in_time, _cancelled, _hardly_any_time, _stream_in_part, _reflection]
    for place in range(first, first + CALLS_A_CHANNEL):
        if turn.is_over:
            return
        way = ways[place % len(ways)]
        try:
            came = await way(turn, channel, next(asked))
        except grpc.aio.AioRpcError as error:
            came = error.code().name
            is_allowed = way is _hardly_any_time and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if not is_allowed and error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                turn.wrong(f"official{way.__name__}: {error.code().name} {error.details()}")
        turn.counts[f"official{way.__name__.replace('_', ' ')}: {came}"] += 1
        await turn.pause(PAUSE)


def _answer(channel: grpc.aio.Channel, question: Question, timeout: float) -> Any:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(question.method)
    return call(question.message, timeout=timeout)


async def _in_time(turn: Round, channel: grpc.aio.Channel, question: Question) -> str:
    if not question.accepts(await _answer(channel, question, _TIME_FOR_ALL)):
        turn.wrong(f"official: not the answer to {question.message!r}")
    return "OK"


async def _hardly_any_time(turn: Round, channel: grpc.aio.Channel, question: Question) -> str:
    if not question.accepts(await _answer(channel, question, turn.dice.uniform(0.0001, 0.01))):
        turn.wrong(f"official: not the answer to {question.message!r}")
    return "OK"


async def _cancelled(turn: Round, channel: grpc.aio.Channel, question: Question) -> str:
    call = _answer(channel, question, _TIME_FOR_ALL)
    asyncio.get_running_loop().call_later(turn.dice.choice((0, 0, 0.0005, 0.003)), call.cancel)
    with suppress(asyncio.CancelledError):
        if not question.accepts(await call):
            turn.wrong(f"official: not the answer to {question.message!r}")
        return "OK"
    return "CANCELLED"


async def _stream_in_part(turn: Round, channel: grpc.aio.Channel, _: Question) -> str:
    wanted = graph.StreamTraverseRequest(service_id=HUB, direction=graph.DIRECTION_DOWNSTREAM, max_depth=1)
    call = Stubs(channel).graph.StreamTraverse(wanted)
    part = await call.read()
    call.cancel()
    if not isinstance(part, graph.StreamTraverseResponse) or not part.services:
        turn.wrong(f"official: a stream begins with {part}")
    return "CANCELLED"


async def _reflection(turn: Round, channel: grpc.aio.Channel, _: Question) -> str:
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
    names = {service.name async for answer in call for service in answer.list_services_response.service}
    if "depgraph.v1.GraphService" not in names:
        turn.wrong(f"official: reflection names {names}")
    return "OK"
