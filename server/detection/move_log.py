"""Moves of the graph, collected until a round has said what they did to the alerts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from server.detection.causes import Causes
from server.domain.moves import GAINS, Move, MoveKind, Unseen

Step: TypeAlias = Sequence[Move] | Unseen

# More are not worth being told apart.
_MOST_MOVES = 5_000


class MoveLog:
    """``domain.moves.MoveObserver`` that remembers while somebody collects; one event loop."""

    def __init__(self, least_confidence: float) -> None:
        self._least_confidence = least_confidence
        self._collects = False
        self._steps: list[Step] = []
        self._count = 0
        self._moved = asyncio.Event()

    @property
    def least_confidence(self) -> float | None:
        """The least confidence with which a dependency counts; None while nobody collects."""
        return self._least_confidence if self._collects else None

    def moved(self, moves: Step) -> None:
        """Take note that the graph moved."""
        self._moved.set()
        if self._collects and moves:
            self._steps.append(moves)
            self._count += _weight(moves)
            self._shorten()

    def begin(self) -> None:
        """Collect from now on."""
        self._collects = True
        self._steps, self._count = [Unseen.TOOK_OVER], 0

    def end(self) -> None:
        """Collect no more."""
        self._collects = False
        self._steps, self._count = [], 0

    def take(self) -> list[Step]:
        """Take what was collected."""
        taken, self._steps, self._count = self._steps, [], 0
        return taken

    def put_back(self, taken: list[Step]) -> None:
        """Let what was taken come before what was collected since."""
        self._steps = taken + self._steps
        self._count += sum(map(_weight, taken))
        self._shorten()

    async def wait(self, within: timedelta) -> bool:
        """Wait until the graph moves, unless it has since the last wait; False when the time was over first."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._moved.wait()
        except TimeoutError:
            return False
        self._moved.clear()
        return True

    def _shorten(self) -> None:
        if self._count > _MOST_MOVES:
            # Without the names of today no alert would be found again.
            renames = [
                [move for move in step if move.kind is MoveKind.SERVICE_RENAMED]
                for step in self._steps
                if not isinstance(step, Unseen)
            ]
            self._steps = [Unseen.LARGE, *filter(None, renames)]
            self._count = 0


def causes_of(steps: Sequence[Step]) -> Causes:
    """Sum up steps of the graph, in the names that services have after the last one. O(moves)."""
    moves: list[Move] = []
    renames: dict[str, str] = {}
    unseen: Unseen | None = None
    for step in steps:
        if isinstance(step, Unseen):
            unseen = step
            continue
        renamed = {move.source: move.target for move in step if move.kind is MoveKind.SERVICE_RENAMED}
        if renamed:
            moves = [Move(move.kind, *_called(renamed, move.source, move.target)) for move in moves]
            renames = _composed(renames, renamed)
        # What is gained is told in the names after the step, all else in those before it.
        moves += [
            move if move.kind in GAINS else Move(move.kind, *_called(renamed, move.source, move.target))
            for move in step
            if move.kind is not MoveKind.SERVICE_RENAMED
        ]
    return Causes(moves, renames, unseen)


def _weight(step: Step) -> int:
    return 0 if isinstance(step, Unseen) else len(step)


def _called(renamed: Mapping[str, str], *names: str) -> list[str]:
    return [renamed.get(name, name) for name in names]


def _composed(first: Mapping[str, str], then: Mapping[str, str]) -> dict[str, str]:
    """Follow names through two steps, in each of which all are renamed at once."""
    both = {old: then.get(new, new) for old, new in first.items()}
    reached = set(first.values())
    # A name that the first step gave away and took back stands for another service by now.
    both |= {old: new for old, new in then.items() if old not in reached and old not in first}
    return {old: new for old, new in both.items() if old != new}
