"""
How measurements are taken, and the figures and bars that they yield.

The machine is shared and noisy, so calls to compare take turns: A B, B A. Whatever slows the
machine down slows both down, and the ratio of their medians stays. Every other turn goes
backwards, because a call depends on the one before it: a thing measured against itself gives 1.
"""

import multiprocessing
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PAIRS, WARM_UP = 300, 30
BURST = 20

Item = TypeVar("Item")
Call = Callable[[int], Any]
"""Makes one call; the argument is the number of the turn, so that each turn can differ."""
AsyncCall = Callable[[int], Awaitable[Any]]


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
    *calls: AsyncCall, pairs: int = PAIRS, warm_up: int = WARM_UP
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


def over(items: Sequence[Item], call: Callable[[Item], Any]) -> Call:
    """Call with one item after the other, and begin again."""
    count = len(items)
    return lambda number: call(items[number % count])


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

    ``curve`` and ``x`` are its place in a plot: which line, and where along it. ``part`` is by
    default the one that yields it.
    """

    what: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    calls: int = 0
    curve: str = ""
    x: float = 0.0
    binding: bool = True
    part: str = ""

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
    what: str,
    above: Seconds,
    below: Seconds,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    part: str = "",
) -> Figure:
    """Divide the median of one thing by that of another, both measured in turns in one run."""
    calls = min(len(above), len(below))
    if calls < LEAST_CALLS:
        raise TooFewCallsError(f"{what}: {calls} calls are too few for a ratio, {LEAST_CALLS} are the least")
    return Figure(what, median(above) / median(below), "x", at_most, at_least, calls, part=part)


def typical(
    what: str, taken: Seconds, unit: str = "µs", *, curve: str = "", x: float = 0.0, part: str = ""
) -> Figure:
    return Figure(what, median(taken) * UNITS[unit], unit, calls=len(taken), curve=curve, x=x, part=part)


def quantile_figure(
    what: str, taken: Seconds, share: float, *, unit: str = "ms", at_most: float | None = None
) -> Figure:
    return Figure(what, quantile(taken, share) * UNITS[unit], unit, at_most, calls=len(taken))


def quantile(taken: Seconds, share: float) -> float:
    ordered = sorted(taken)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Stopwatch:
    seconds = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    watch, began = Stopwatch(), perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = perf_counter() - began


@contextmanager
def elsewhere(function: Callable[..., None], *arguments: Any) -> Iterator["Connection[Any, Any]"]:
    """Run a function in a process of its own; its last argument is a pipe, yields the other end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(*arguments, theirs), daemon=True)
    process.start()
    # So that reading ends when the process does.
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
