"""
Measuring two things on a machine that is shared and noisy: their calls take turns, A B, B A.

Whatever slows the machine down for a while slows both down, so that the ratio of their medians means something where the times
alone do not. Every other turn goes backwards, because it matters what a call comes after: the same thing measured against itself
must give 1.
"""

from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any

PAIRS, WARM_UP = 300, 30
BURST = 20

Call = Callable[[int], Any]
"""Does the thing once; the argument is the number of the turn, so that each turn can ask something else."""


def take_turns(*calls: Call, pairs: int = PAIRS, warm_up: int = WARM_UP) -> list[list[float]]:
    """The seconds that each call took, turn by turn; the first ``warm_up`` turns are not counted."""
    taken: list[list[float]] = [[] for _ in calls]
    for number, which in turns(len(calls), pairs, warm_up):
        call = calls[which]
        began = perf_counter()
        call(number)
        seconds = perf_counter() - began
        if number >= 0:
            taken[which].append(seconds)
    return taken


async def take_turns_async(
    *calls: Callable[[int], Awaitable[Any]], pairs: int = PAIRS, warm_up: int = WARM_UP
) -> list[list[float]]:
    """``take_turns`` for coroutines; one at a time."""
    taken: list[list[float]] = [[] for _ in calls]
    for number, which in turns(len(calls), pairs, warm_up):
        call = calls[which]
        began = perf_counter()
        await call(number)
        seconds = perf_counter() - began
        if number >= 0:
            taken[which].append(seconds)
    return taken


def in_bursts(call: Call, size: int = BURST) -> Call:
    """So many different questions in one turn: for calls that take no longer than it takes to look at the clock."""

    def burst(number: int) -> None:
        for place in range(number * size, (number + 1) * size):
            call(place)

    return burst


def turns(calls: int, pairs: int, warm_up: int) -> Iterator[tuple[int, int]]:
    """Number of the turn and whose it is; odd turns go backwards."""
    forwards = range(calls)
    for number in range(-warm_up, pairs):
        for which in reversed(forwards) if number % 2 else forwards:
            yield number, which
