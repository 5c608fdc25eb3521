"""
How measurements are taken, and the figures and bars that they yield.

The machine is shared and noisy, so calls to compare take turns: A B, B A. Whatever slows the
machine down slows both down, and the ratio of their medians stays. Every other turn goes
backwards, because a call depends on the one before it: a thing measured against itself gives 1.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

PAIRS, WARM_UP = 300, 30
BURST = 20

Call = Callable[[int], Any]
"""Makes one call; the argument is the number of the turn, so that each turn can differ."""


def take_turns(*calls: Call, pairs: int = PAIRS, warm_up: int = WARM_UP) -> list[list[float]]:
    """Return the seconds of each call, turn by turn, without the first ``warm_up`` turns."""
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
    """Make so many different calls in one turn, for calls about as short as reading the clock."""

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


LEAST_CALLS = 200
UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}
Seconds = Sequence[float]


@dataclass(frozen=True)
class Figure:
    """
    ``at_most`` or ``at_least`` is the bar that ``value`` has to meet. A bar that is not ``binding``
    is shown, and missing it is no failure. ``calls`` is the number of calls behind a median.

    ``curve`` and ``x`` are its place in a plot: which line, and where along it.
    """

    part: str
    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    calls: int = 0
    curve: str = ""
    x: float = 0.0
    binding: bool = True

    @property
    def bar(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        return f"≥ {self.at_least:g} {self.unit}" if self.at_least is not None else ""

    @property
    def met(self) -> bool:
        high = self.at_most is None or self.value <= self.at_most
        return high and (self.at_least is None or self.value >= self.at_least)

    @property
    def failed(self) -> bool:
        return self.binding and not self.met


class TooFewCallsError(Exception):
    """A ratio of so few calls says more about the machine than about the program."""


def ratio(
    part: str,
    what: str,
    above: Seconds,
    below: Seconds,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """Divide the median of one thing by that of another, both measured in turns in one run."""
    calls = min(len(above), len(below))
    if calls < LEAST_CALLS:
        raise TooFewCallsError(f"{what}: {calls} calls are too few for a ratio, {LEAST_CALLS} are the least")
    return Figure(part, what, median(above) / median(below), "x", at_most, at_least, calls)


def typical(
    part: str, what: str, taken: Seconds, unit: str = "µs", *, curve: str = "", x: float = 0.0
) -> Figure:
    return Figure(part, what, median(taken) * UNITS[unit], unit, calls=len(taken), curve=curve, x=x)


def quantile_figure(
    part: str, what: str, taken: Seconds, share: float, *, unit: str = "ms", at_most: float | None = None
) -> Figure:
    return Figure(part, what, quantile(taken, share) * UNITS[unit], unit, at_most, calls=len(taken))


def quantile(taken: Seconds, share: float) -> float:
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Stopwatch:
    seconds = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    watch, began = Stopwatch(), time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = time.perf_counter() - began
