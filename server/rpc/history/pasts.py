"""Which states of the graph a request names: their marks, and how fresh they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from server.domain.changes import FeedPosition
from server.domain.errors import (
    DatabaseUnavailableError,
    FieldViolation,
    InvalidInputError,
    NotReadyError,
    ReplicaBehindError,
)
from server.domain.history import Mark, PastGraphs, PastReader, Point
from server.domain.history_changes import HistoryStore
from server.domain.live_graph import AtLeastAsFresh, Freshness, LiveGraph, Reading
from server.rpc.context import Context, time_left
from server.rpc.questions import FROM_MEMORY

_LOOK_AGAIN_SECONDS = 0.5
_LONGEST_WAIT = timedelta(minutes=1)
LONGEST_HOLD_SECONDS = 2.0
"""While the graph holds still, nobody's changes come into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What former states, and the changes between them, are read from."""

    reader: PastReader
    graphs: PastGraphs
    store: HistoryStore


def position_of(live: LiveGraph) -> FeedPosition:
    """Return what memory holds now."""
    position = live.position
    if position is None:
        raise NotReadyError("the graph is not in memory yet: try again in a moment")
    return position


def patience(context: Context) -> timedelta:
    """Return how long a call may wait, at most a minute."""
    return min(time_left(context) or _LONGEST_WAIT, _LONGEST_WAIT)


@asynccontextmanager
async def asking_while_held() -> AsyncIterator[None]:
    """Bound what is asked of the database while the live graph holds still: the feed waits."""
    try:
        async with asyncio.timeout(LONGEST_HOLD_SECONDS) as bound:
            yield
    except TimeoutError:
        if not bound.expired():
            raise
        raise DatabaseUnavailableError(
            f"the changes took the database longer than {LONGEST_HOLD_SECONDS:g} s to tell: "
            "ask for a shorter time, or try again"
        ) from None


async def mark_of(reader: PastReader, point: Point, context: Context) -> Mark:
    """Find a state; that of a write is marked some seconds after it. Raises as ``PastReader``."""
    try:
        async with asyncio.timeout(patience(context).total_seconds()) as bound:
            mark = await reader.mark_at(point)
            while mark is None:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                mark = await reader.mark_at(point)
            return mark
    except TimeoutError:
        if not bound.expired():
            raise
        raise ReplicaBehindError(
            "no mark holds the write yet: marks are ten seconds apart, so try again"
        ) from None


async def live_since(live: LiveGraph, earlier: Mark, context: Context) -> Reading:
    """Return the live graph once it has reached a state; after a crash it was loaded later."""
    if earlier.is_exact and earlier.feed_id == position_of(live).feed_id:
        return await live.at(AtLeastAsFresh(earlier.revision), time_left(context))
    return await live.at(FROM_MEMORY, time_left(context))


def check_order(earlier: Mark, later: Mark, field: str, message: str) -> None:
    """Raise ``InvalidInputError`` if the earlier state is the later one."""
    if earlier.is_exact and later.is_exact:
        in_order = later.snapshot.covers(earlier.snapshot)
    else:
        in_order = earlier.at <= later.at
    if not in_order:
        raise InvalidInputError(f"{field}: {message}", violations=[FieldViolation(field, message)])


def mark_freshness(mark: Mark) -> Freshness:
    """Describe a former state."""
    return Freshness(mark.revision.token, timedelta(), mark.at, approximate=not mark.is_exact)
