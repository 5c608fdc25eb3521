"""Calls in progress, and their end when the server stops."""

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


async def test_draining_without_calls_ends_at_once() -> None:
    assert await RunningCalls().drained(timedelta(0)) is True


async def test_draining_waits_for_the_last_call() -> None:
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


async def test_draining_stops_waiting_after_the_grace_period() -> None:
    calls = RunningCalls()
    calls.enter(CALL)
    assert await calls.drained(timedelta(milliseconds=1)) is False


async def test_draining_does_not_wait_for_streams_of_grpc_itself() -> None:
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


async def test_streams_that_the_server_ended_know_it() -> None:
    calls = RunningCalls()
    entered = asyncio.Event()

    async def watch() -> bool:
        calls.enter(WATCH)
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return calls.why_ended() is not None
        return False

    stream = asyncio.ensure_future(watch())
    await entered.wait()
    await calls.end_streams(timedelta(0))
    assert await stream is True
    assert calls.why_ended() is None


async def test_draining_ends_watches_of_the_graph_but_not_of_health() -> None:
    calls = RunningCalls()

    async def stay(method: str) -> bool:
        calls.enter(method)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return calls.why_ended() is not None
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
