"""What a measurement yields: figures, and the bars that some of them have to meet."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

LEAST_CALLS = 200
Seconds = Sequence[float]


@dataclass(frozen=True)
class Figure:
    """
    ``at_most`` or ``at_least`` is the bar that ``value`` has to meet, or, not ``binding``, is shown beside: a missed one is no failure.
    ``calls`` is how many calls it comes from, 0 = it is no median.

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
    """The median of one thing by the median of another; both measured in one run, their calls taking turns."""
    calls = min(len(above), len(below))
    if calls < LEAST_CALLS:
        raise TooFewCallsError(f"{what}: {calls} calls are too few for a ratio, {LEAST_CALLS} are the least")
    return Figure(part, what, median(above) / median(below), "x", at_most, at_least, calls)


def typical(
    part: str, what: str, taken: Seconds, unit: str = "µs", *, curve: str = "", x: float = 0.0
) -> Figure:
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    return Figure(part, what, median(taken) * scale, unit, calls=len(taken), curve=curve, x=x)


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
