"""An observer that compares a replica with the database and remembers every difference."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from server.feed.connection import FeedConnection
from server.replica import Replica
from tests.support.eventually import eventually
from tests.support.following import Rows, broken_names, fetched_tables, memory

if TYPE_CHECKING:
    from server.domain.changes import FeedPosition


def wrong_rows(held: Rows, expected: Rows) -> int:
    """Count the keys whose rows differ, are missing, or should not be there."""
    return len(_differing(held, expected))


class Witness:
    """
    An observer for ``following``: in each step it compares all of memory with the step's snapshot.

    ``look`` checks between steps that memory is as it was at the last step: stale, but consistent.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.comparisons = 0
        self.mismatches = 0
        self.broken_names = 0
        self.looks = 0
        self.largest_lag = timedelta(0)
        self.first_difference = ""
        self._comparing = False
        self._held: Rows = ({}, {}, {})
        self._records: list[object] = []
        self._position: FeedPosition | None = None
        self._last_look = (0, timedelta(0))

    async def __call__(self, replica: Replica, connection: FeedConnection) -> None:
        """Compare memory with the tables, inside the transaction of a step."""
        self.steps += 1
        self._held, self._position = memory(replica), replica.position
        self._records = _records(replica)
        self._comparing = True
        try:
            expected = await fetched_tables(connection.rows)
        finally:
            self._comparing = False
        self.comparisons += 1
        self.broken_names += broken_names(expected)
        if self._held != expected:
            self.mismatches += 1
            self.first_difference = self.first_difference or _describe(self._held, expected)

    async def done(self) -> None:
        """Wait for the comparison that is under way."""
        await eventually(lambda: not self._comparing)

    def look(self, replica: Replica) -> None:
        """Fail if memory is not that of the last step, or if the reported lag did not grow."""
        if self._position is None:
            assert replica.position is None
            return
        assert replica.position is self._position, "memory moved without a step"
        # The same records say the same; to read them takes ten times as long.
        are_the_same = _records(replica) == self._records or memory(replica) == self._held
        assert are_the_same, "rows changed without a step"
        lag = replica.freshness().lag
        steps, lag_before = self._last_look
        assert steps != self.steps or lag > lag_before, "the lag shrank without a step"
        self._last_look = (self.steps, lag)
        self.looks += 1
        self.largest_lag = max(self.largest_lag, lag)


def _records(replica: Replica) -> list[object]:
    graph = replica.graph
    return [*graph.services(), *graph.dependencies(), *graph.dangling_dependencies(), *graph.aliases()]


def _differing(held: Rows, expected: Rows) -> list[tuple[object, object]]:
    every = [pair for table in range(len(held)) for pair in _pairs(held[table], expected[table])]
    return [(here, there) for here, there in every if here != there]


def _pairs(here: Mapping[UUID, object], there: Mapping[UUID, object]) -> Iterator[tuple[object, object]]:
    return ((here.get(key), there.get(key)) for key in here.keys() | there.keys())


def _describe(held: Rows, expected: Rows) -> str:
    return "\n".join(f"memory {here}\ntables {there}" for here, there in _differing(held, expected)[:5])
