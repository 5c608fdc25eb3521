"""Turns of calls that wait, and limits on calls in progress."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from server.config import Limits
from server.domain.errors import OverloadedError
from server.rpc.admission import Admission
from server.rpc.methods import Kind
from tests.support.answering import admission as admission_of

LONG_SECONDS = 0.003


def caller(peer: str) -> Any:
    return SimpleNamespace(peer=lambda: peer)


def use_the_processor() -> None:
    """Keep the loop from turning, as a long answer does."""
    used = time.thread_time()
    while time.thread_time() - used < LONG_SECONDS:
        pass


async def crowded(admission: Admission, *peers: str) -> "list[asyncio.Task[None]]":
    """Answer a call that takes long, and have others come meanwhile."""
    await admission.turn(caller("first"), time.perf_counter())
    use_the_processor()
    began = time.perf_counter()
    return [asyncio.create_task(admission.turn(caller(peer), began)) for peer in peers]


async def test_connections_take_turns() -> None:
    admission, turns = admission_of(), list[str]()
    waiting = await crowded(admission, *"aaab")
    peers = dict(zip(waiting, "aaab", strict=True))
    for turn in waiting:
        turn.add_done_callback(lambda ended: turns.append(peers[ended]))
    await asyncio.sleep(0)
    assert admission.waiting == 4
    await asyncio.gather(*waiting)
    assert turns == ["a", "b", "a", "a"]
    assert admission.waiting == 0


async def test_a_cancelled_call_gets_no_turn_and_delays_no_other() -> None:
    admission = admission_of()
    waiting = await crowded(admission, *"aab")
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(*waiting[1:])
    assert waiting[0].cancelled()
    assert admission.waiting == 0


async def test_without_a_long_call_a_call_has_its_turn_at_once() -> None:
    admission = admission_of()
    for _ in range(3):
        turn = admission.turn(caller("a"), time.perf_counter())
        with pytest.raises(StopIteration):
            turn.send(None)


async def test_an_iteration_without_processor_time_delays_no_call() -> None:
    admission = admission_of()
    began = time.perf_counter()
    await admission.turn(caller("first"), began)
    time.sleep(LONG_SECONDS)  # noqa: ASYNC251 - other programs have the processor
    await asyncio.sleep(0)
    with pytest.raises(StopIteration):
        admission.turn(caller("a"), began).send(None)


async def test_after_a_long_call_no_call_is_answered_at_once() -> None:
    admission = admission_of()
    admission.begin_iteration()
    began = time.perf_counter()
    assert admission.may_answer_at_once(Kind.UNARY, began)
    use_the_processor()
    admission.answered_at_once(began)
    # However long it was until this line.
    assert not admission.may_answer_at_once(Kind.UNARY, began)


async def test_an_iteration_of_quick_answers_does_not_hide_a_long_call() -> None:
    admission = admission_of()
    began = time.perf_counter()
    await admission.turn(caller("first"), began)
    use_the_processor()
    admission.begin_iteration()
    await asyncio.sleep(0)
    assert not admission.may_answer_at_once(Kind.UNARY, began)


def test_each_kind_of_call_has_its_own_limit() -> None:
    admission = admission_of(Limits(max_concurrent_calls=1, max_streaming_calls=2))
    for kind, most in ((Kind.UNARY, 1), (Kind.STREAMING, 2), (Kind.STANDARD_STREAMING, 2)):
        slots = [admission.enter(kind) for _ in range(most)]
        with pytest.raises(OverloadedError):
            admission.enter(kind)
        for _ in range(2):
            slots[0].release()
        admission.enter(kind)
        with pytest.raises(OverloadedError):
            admission.enter(kind)
