"""Whatever happens to the rows, a past graph is the one that the rows of then make."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from server.domain.changes import FeedPosition, ReportedConfidences, RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.history import FormerRows, Mark, Point
from server.domain.live_graph import AsOf
from server.domain.services import Service, ServiceAlias
from server.replica import KeptPasts, Replica
from tests.support.following import Rows, dependency_message, joins, memory, service_message
from tests.support.watched_rows import FEED, NOW, dependency, position, reload, service, step

PATIENCE = timedelta(seconds=30)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SERVICES, DEPENDENCIES, ALIASES = range(1, 6), range(11, 19), range(21, 24)
NAMES = "abcdefg"
Row = Service | DependencyRow | ServiceAlias
Tables = dict[UUID, Row]
Step = list[tuple[int, Any]]

SERVICE_MOVES = st.tuples(st.sampled_from(SERVICES), st.none() | st.sampled_from(NAMES))
DEPENDENCY_MOVES = st.tuples(
    st.sampled_from(DEPENDENCIES),
    st.none() | st.sampled_from(list(product(SERVICES, SERVICES, [1, 2], [False, True], [0.5, 1.0]))),
)
ALIAS_MOVES = st.tuples(st.sampled_from(ALIASES), st.none() | st.sampled_from(list(product("xyz", SERVICES))))
MOVES = st.one_of(SERVICE_MOVES, DEPENDENCY_MOVES, ALIAS_MOVES)
STEPS = st.lists(st.lists(MOVES, max_size=6), min_size=2, max_size=8)


@dataclass(slots=True)
class World:
    """Tables, their history, and a replica; a mark after each step."""

    replica: Replica = field(default_factory=lambda: Replica(timedelta(seconds=1)))
    tables: Tables = field(default_factory=dict)
    marked: list[Tables] = field(default_factory=list)
    # The step that made a change, and what the row was before.
    undo: list[tuple[int, UUID, Row | None]] = field(default_factory=list)
    meanwhile: list[Step] = field(default_factory=list)

    @classmethod
    async def new(cls) -> "World":
        world = cls()
        rows: list[Service | DependencyRow] = [
            *(service(n) for n in SERVICES),
            *(dependency(n, n - 10, n % 5 + 1) for n in range(11, 16)),
        ]
        world.tables = {row.id: row for row in rows}
        await reload(world.replica, *(cast("Any", decayed(row)) for row in rows))
        world.marked.append(world.tables.copy())
        return world

    async def take(self, moves: Step) -> None:
        """Change the tables in one transaction, let the replica follow, and mark."""
        before = self.tables.copy()
        for number, wanted in moves:
            self._move(UUID(int=number), number, wanted)
        number = len(self.marked)
        changed = [key for key in before.keys() | self.tables if before.get(key) != self.tables.get(key)]
        self.undo += [(number, key, before.get(key)) for key in changed]
        await step(self.replica, changes_to({key: decayed(self.tables.get(key)) for key in changed}))
        self.marked.append(self.tables.copy())

    def _move(self, key: UUID, number: int, wanted: Any) -> None:
        former = self.tables.pop(key, None)
        if wanted is None:
            return
        row: Row
        if number in SERVICES:
            row = service(number, wanted)
        elif number in DEPENDENCIES:
            source, target, timeout, is_stale, confidence = wanted
            row = dependency(number, source, target, timeout)._replace(
                is_stale=is_stale, confidence_score=confidence
            )
        else:
            alias, owner = wanted
            row = ServiceAlias(key, alias, UUID(int=owner), NOW)
        names = {each[1] for each in self.tables.values() if type(each) is type(row)}
        if isinstance(row, DependencyRow) or row[1] not in names:
            self.tables[key] = row
        elif former is not None:
            self.tables[key] = former

    async def mark_at(self, point: Point) -> Mark:
        """See ``PastReader``."""
        assert isinstance(point, datetime)
        number = int((point - BEGIN).total_seconds())
        return Mark(point, 1, position(number).snapshot, FEED, None, is_exact=True)

    async def rows_at(self, mark: Mark, since: FeedPosition) -> AsyncGenerator[FormerRows, None]:
        """Undo what came after a mark, more and more while it is read."""
        assert since.feed_id == FEED
        if self.meanwhile:
            await self.take(self.meanwhile.pop())
        first: dict[UUID, Row | None] = {}
        for number, key, before in self.undo:
            if number > mark.snapshot.xmax:
                first.setdefault(key, before)
        yield changes_to(first)
        yield ReportedConfidences(
            {
                key: row.confidence_score
                for key, row in self.tables.items()
                if isinstance(row, DependencyRow) and key not in first
            }
        )


def decayed(row: Row | None) -> Row | None:
    """The row as the live graph holds it: what a dependency reported is not what is left of it."""
    return row._replace(confidence_score=row.confidence_score / 4) if isinstance(row, DependencyRow) else row


def changes_to(rows: dict[UUID, Row | None]) -> RowChanges:
    return RowChanges(
        *(
            {key: cast("Any", row) for key, row in rows.items() if key.int in numbers}
            for numbers in (SERVICES, DEPENDENCIES, ALIASES)
        )
    )


def expected(rows: Tables) -> Rows:
    services = {key: row for key, row in rows.items() if isinstance(row, Service)}
    names = {key: row.service_id for key, row in services.items()}
    return (
        {key: service_message(row) for key, row in services.items()},
        {
            key: dependency_message(
                row, *((names[row.source], names[row.target]) if joins(row, names) else ("", ""))
            )
            for key, row in rows.items()
            if isinstance(row, DependencyRow)
        },
        {
            key: (row.alias, row.service_id, row.created_at)
            for key, row in rows.items()
            if isinstance(row, ServiceAlias)
        },
    )


def components(rows: Tables) -> set[frozenset[str]]:
    """The strongly connected components over fresh dependencies, by networkx."""
    names = {key: row.service_id for key, row in rows.items() if isinstance(row, Service)}
    digraph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    digraph.add_nodes_from(names.values())
    digraph.add_edges_from(
        (names[row.source], names[row.target])
        for row in rows.values()
        if isinstance(row, DependencyRow) and not row.is_stale and joins(row, names)
    )
    return set(map(frozenset, nx.strongly_connected_components(digraph)))


@given(STEPS, STEPS, st.data())
def test_a_past_graph_is_what_the_rows_of_then_make(
    steps: list[Step], meanwhile: list[Step], data: st.DataObject
) -> None:
    async def check() -> None:
        world = await World.new()
        world.replica.past = KeptPasts(world.replica, world)
        for moves in steps:
            await world.take(moves)
        world.meanwhile = meanwhile
        numbers = data.draw(st.permutations(range(len(world.marked))))
        for number in numbers:
            reading = await world.replica.at(AsOf(BEGIN + timedelta(seconds=number)), PATIENCE)
            then, graph = world.marked[number], reading.graph
            assert memory(cast("Any", SimpleNamespace(graph=graph))) == expected(then)
            found = {frozenset(each.members) for each in graph.components.largest_first(1)}
            assert found == components(then)
            live = {key: decayed(row) for key, row in world.tables.items()}
            assert memory(world.replica) == expected(cast("Tables", live))

    asyncio.run(check())
