"""Readers that wait for memory to move on."""

import asyncio
from datetime import timedelta

from server.replica.waiting import Waiters

SOON = timedelta(milliseconds=20)
LONG = timedelta(seconds=30)


async def test_what_holds_already_is_not_waited_for() -> None:
    assert await Waiters().until(lambda: True, timedelta(0))


async def test_a_waiter_goes_on_once_its_condition_holds() -> None:
    waiters = Waiters()
    reached: list[int] = []
    waiting = asyncio.ensure_future(waiters.until(lambda: bool(reached), LONG))
    await asyncio.sleep(0)
    waiters.look()
    assert not waiting.done()
    reached.append(1)
    waiters.look()
    assert await waiting
    assert len(waiters) == 0


async def test_a_waiter_is_told_when_its_time_is_over_and_forgotten() -> None:
    waiters = Waiters()
    assert not await waiters.until(lambda: False, SOON)
    assert len(waiters) == 0


async def test_a_cancelled_waiter_is_forgotten() -> None:
    waiters = Waiters()
    waiting = asyncio.ensure_future(waiters.until(lambda: False, LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(waiters) == 0


async def test_a_condition_that_held_only_for_a_moment_is_waited_for_again() -> None:
    waiters, state = Waiters(), {"holds": True}
    state["holds"] = False
    waiting = asyncio.ensure_future(waiters.until(lambda: state["holds"], LONG))
    await asyncio.sleep(0)
    state["holds"] = True
    waiters.look()
    state["holds"] = False  # before the waiter gets to run
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    state["holds"] = True
    waiters.look()
    assert await waiting
