"""Long works on one event loop share it with everybody else."""

import asyncio

from server.turns import Turns


class Rounds:
    """Counts the rounds of the event loop."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self) -> None:
        """Count from now on."""
        self.count += 1
        asyncio.get_running_loop().call_soon(self.begin)


async def work(rounds: Rounds, had: list[int], turns: int) -> None:
    mine = Turns(length=-1)
    for _ in range(turns):
        await mine.next()
        had.append(rounds.count)


async def test_of_many_works_one_has_its_turn_in_a_round() -> None:
    rounds, had = Rounds(), list[int]()
    rounds.begin()
    await asyncio.gather(*(work(rounds, had, 10) for _ in range(20)))
    assert len(had) == 200
    assert len(set(had)) == 200


async def test_works_have_their_turns_in_order() -> None:
    order: list[str] = []

    async def named(name: str) -> None:
        mine = Turns(length=-1)
        for _ in range(3):
            await mine.next()
            order.append(name)

    await asyncio.gather(named("a"), named("b"), named("c"))
    assert order == ["a", "b", "c"] * 3


async def test_work_that_is_cancelled_while_it_waits_is_skipped() -> None:
    works = [asyncio.create_task(work(Rounds(), [], 5)) for _ in range(3)]
    await asyncio.sleep(0)
    works[0].cancel()
    await asyncio.gather(*works[1:])
    assert works[0].cancelled()
