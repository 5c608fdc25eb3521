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


async def test_a_host_with_many_connections_has_as_many_turns_as_one_with_a_single_one() -> None:
    admission, turns = admission_of(), list[str]()
    peers = ["ipv4:10.0.0.1:1", "ipv4:10.0.0.1:2", "ipv4:10.0.0.1:3", "ipv4:10.0.0.2:1", "ipv4:10.0.0.2:1"]
    waiting = await crowded(admission, *peers)
    peer_of = dict(zip(waiting, peers, strict=True))
    for turn in waiting:
        turn.add_done_callback(lambda ended: turns.append(peer_of[ended]))
    await asyncio.gather(*waiting)
    assert turns == [peers[0], peers[3], peers[1], peers[4], peers[2]]


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


@pytest.mark.parametrize(
    ("kind", "limits", "name"),
    [
        (Kind.UNARY, Limits(max_concurrent_calls=2), "concurrent_calls"),
        (Kind.ANALYSIS, Limits(max_concurrent_analyses=2), "concurrent_analyses"),
        (Kind.ANALYSIS, Limits(max_concurrent_calls=2), "concurrent_calls"),
        (Kind.STREAMING, Limits(max_streaming_calls=2), "streaming_calls"),
        (Kind.STREAMING, Limits(max_streams_per_principal=2), "streams_per_principal"),
        (Kind.STREAMING_ANALYSIS, Limits(max_concurrent_analyses=2), "concurrent_analyses"),
        (Kind.STREAMING_ANALYSIS, Limits(max_streaming_calls=2), "streaming_calls"),
        (Kind.STREAMING_ANALYSIS, Limits(max_streams_per_principal=2), "streams_per_principal"),
        (Kind.WATCH, Limits(max_watches=2), "watches"),
        (Kind.WATCH, Limits(max_streaming_calls=2), "streaming_calls"),
        (Kind.WATCH, Limits(max_streams_per_principal=2), "streams_per_principal"),
        (Kind.STANDARD_STREAMING, Limits(max_streaming_calls=2), "streaming_calls"),
    ],
)
def test_a_call_beyond_a_limit_of_its_kind_is_refused_and_takes_no_place(
    kind: Kind, limits: Limits, name: str
) -> None:
    admission = admission_of(limits)
    slots = [admission.enter(kind, lambda: "a") for _ in range(2)]
    for _ in range(3):
        with pytest.raises(OverloadedError) as refused:
            admission.enter(kind, lambda: "a")
        assert refused.value.limit == name
        assert f"--max-{name.replace('_', '-')}" in refused.value.message
        # The first slot is free now, and the second release does nothing.
        for _ in range(2):
            slots[0].release()
        slots[0] = admission.enter(kind, lambda: "a")


def test_calls_of_one_kind_leave_the_places_of_others() -> None:
    admission = admission_of(Limits(max_concurrent_analyses=1, max_watches=1))
    admission.enter(Kind.ANALYSIS, lambda: "a")
    admission.enter(Kind.WATCH, lambda: "a")
    for kind in (Kind.UNARY, Kind.STREAMING, Kind.STANDARD_STREAMING):
        assert not admission.is_full(kind)
        admission.enter(kind, lambda: "a")
    for kind in (Kind.ANALYSIS, Kind.STREAMING_ANALYSIS, Kind.WATCH):
        assert admission.is_full(kind)


@pytest.mark.parametrize("most", [1, 2, 3, 8, 1_000])
def test_one_caller_gets_every_place_and_leaves_spare_ones_to_others(most: int) -> None:
    admission = admission_of(Limits(max_concurrent_calls=most))
    greedy = [admission.enter(Kind.UNARY, lambda: "greedy") for _ in range(most)]
    assert admission.is_full(Kind.UNARY)
    assert admission.refusal(Kind.UNARY, "greedy") is not None
    assert admission.refusal(Kind.UNARY, "modest") is None
    spare = max(1, most // 4)
    modest = [admission.enter(Kind.UNARY, str(number).strip) for number in range(spare)]
    with pytest.raises(OverloadedError):
        admission.enter(Kind.UNARY, lambda: "another")
    for slot in greedy + modest:
        slot.release()
    for _ in range(most):
        admission.enter(Kind.UNARY, lambda: "modest")


def test_while_half_of_the_places_are_free_it_does_not_matter_who_calls() -> None:
    admission = admission_of(Limits(max_concurrent_calls=4))

    def unknown() -> str:
        raise AssertionError

    for _ in range(2):
        admission.enter(Kind.UNARY, unknown)
    with pytest.raises(AssertionError):
        admission.enter(Kind.UNARY, unknown)


def test_a_call_that_fails_between_two_limits_takes_no_place() -> None:
    admission = admission_of(Limits(max_concurrent_analyses=2, max_concurrent_calls=1))

    def unknown() -> str:
        raise AssertionError

    for _ in range(3):
        with pytest.raises(AssertionError):
            admission.enter(Kind.ANALYSIS, unknown)
    assert not admission.is_full(Kind.ANALYSIS)


def test_streams_of_one_principal_leave_those_of_another() -> None:
    admission = admission_of(Limits(max_streams_per_principal=1))
    admission.enter(Kind.WATCH, lambda: "a")
    admission.enter(Kind.WATCH, lambda: "b")
    with pytest.raises(OverloadedError):
        admission.enter(Kind.STREAMING, lambda: "b")
