"""Counting calls, and letting them come to an end."""

import asyncio
from datetime import timedelta

import pytest

from server.domain.errors import NotReadyError
from server.rpc.running import RunningCalls

CALL = "/depgraph.v1.GraphService/Traverse"
WATCH = "/grpc.health.v1.Health/Watch"
GRAPH_WATCH = "/depgraph.v1.GraphService/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
LONG = timedelta(seconds=30)


async def test_without_calls_nothing_is_waited_for() -> None:
    assert await RunningCalls().drained(timedelta(0)) is True


async def test_the_end_of_the_last_call_is_waited_for() -> None:
    calls = RunningCalls()
    calls.enter(CALL)
    calls.enter(CALL)
    waiting = asyncio.ensure_future(calls.drained(LONG))
    calls.leave(CALL)
    await asyncio.sleep(0)
    assert not waiting.done()
    calls.leave(CALL)
    assert await waiting is True
    assert len(calls) == 0


async def test_a_call_that_lasts_too_long_is_not_waited_for_any_more() -> None:
    calls = RunningCalls()
    calls.enter(CALL)
    assert await calls.drained(timedelta(milliseconds=1)) is False


async def test_streams_of_grpc_itself_are_not_waited_for() -> None:
    calls = RunningCalls()
    calls.enter(WATCH)
    assert await calls.drained(timedelta(0)) is True


@pytest.mark.parametrize(("method", "admitted"), [(CALL, False), (REFLECTION, False), (WATCH, True)])
async def test_while_draining_only_health_is_admitted(method: str, admitted: bool) -> None:
    calls = RunningCalls()
    calls.admit(method)
    calls.begin_drain()
    if admitted:
        calls.admit(method)
        return
    with pytest.raises(NotReadyError) as caught:
        calls.admit(method)
    assert caught.value.retry_after > timedelta(0)


async def test_ended_streams_know_who_ended_them() -> None:
    calls = RunningCalls()
    entered = asyncio.Event()

    async def watch() -> bool:
        calls.enter(WATCH)
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return calls.is_ended()
        return False

    stream = asyncio.ensure_future(watch())
    await entered.wait()
    await calls.end_streams(timedelta(0))
    assert await stream is True
    assert calls.is_ended() is False


async def test_who_watches_the_graph_is_ended_when_draining_begins_and_health_is_not() -> None:
    calls = RunningCalls()

    async def stay(method: str) -> bool:
        calls.enter(method)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return calls.is_ended()
        finally:
            calls.leave(method)
        return False

    graph, health = (asyncio.ensure_future(stay(method)) for method in (GRAPH_WATCH, WATCH))
    await asyncio.sleep(0)
    assert len(calls) == 0
    calls.begin_drain()
    assert await graph is True
    assert not health.done()
    with pytest.raises(NotReadyError):
        calls.admit(GRAPH_WATCH)
    await calls.end_streams(timedelta(0))
    assert await health is True
