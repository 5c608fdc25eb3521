"""Long work on one event loop yields to other work."""

import asyncio

from server.concurrency import CooperativeYield


class Rounds:
    """Counts the rounds of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        """Count from now on."""
        self.count += 1
        asyncio.get_running_loop().call_soon(self.begin)


async def work(rounds: Rounds, resumed_in: list[int], slices: int) -> None:
    yielding = CooperativeYield(length=-1)
    for _ in range(slices):
        await yielding.checkpoint()
        resumed_in.append(rounds.count)


async def test_each_round_of_the_loop_resumes_one_work_only() -> None:
    rounds, resumed_in = Rounds(), list[int]()
    rounds.begin()
    await asyncio.gather(*(work(rounds, resumed_in, 10) for _ in range(20)))
    assert len(resumed_in) == 200
    assert len(set(resumed_in)) == 200


async def test_works_resume_in_the_order_in_which_they_yielded() -> None:
    order: list[str] = []

    async def named(name: str) -> None:
        yielding = CooperativeYield(length=-1)
        for _ in range(3):
            await yielding.checkpoint()
            order.append(name)

    await asyncio.gather(named("a"), named("b"), named("c"))
    assert order == ["a", "b", "c"] * 3


async def test_work_cancelled_while_it_waits_is_skipped() -> None:
    works = [asyncio.create_task(work(Rounds(), [], 5)) for _ in range(3)]
    await asyncio.sleep(0)
    works[0].cancel()
    await asyncio.gather(*works[1:])
    assert works[0].cancelled()
