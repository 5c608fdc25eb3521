"""Tasks that wait for a condition on the graph."""

import asyncio
from datetime import timedelta

from server.replica.reading import Waiters

SOON = timedelta(milliseconds=20)
LONG = timedelta(seconds=30)


async def test_a_condition_that_holds_already_needs_no_wait() -> None:
    assert await Waiters().until(lambda: True, timedelta(0))


async def test_a_waiter_resumes_once_its_condition_holds() -> None:
    waiters = Waiters()
    reached: list[int] = []
    waiting = asyncio.ensure_future(waiters.until(lambda: bool(reached), LONG))
    await asyncio.sleep(0)
    waiters.notify()
    assert not waiting.done()
    reached.append(1)
    waiters.notify()
    assert await waiting
    assert len(waiters) == 0


async def test_a_waiter_whose_time_is_up_gets_false_and_is_forgotten() -> None:
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


async def test_a_condition_that_holds_no_longer_on_resuming_is_waited_for_again() -> None:
    waiters, state = Waiters(), {"holds": True}
    state["holds"] = False
    waiting = asyncio.ensure_future(waiters.until(lambda: state["holds"], LONG))
    await asyncio.sleep(0)
    state["holds"] = True
    waiters.notify()
    state["holds"] = False  # before the waiter gets to run
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    state["holds"] = True
    waiters.notify()
    assert await waiting
