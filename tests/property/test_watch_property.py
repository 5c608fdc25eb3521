"""Whatever happens to the rows, a watcher's stream folds into exactly what memory shows."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from unittest.mock import patch
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from server.config import WatchSettings
from server.domain.changes import RowChanges
from server.domain.dependencies import DependencyRow
from server.domain.revision import Snapshot
from server.domain.services import Service
from server.domain.watching import ChangedKeys, WatchEvent
from server.replica import Replica, Watches
from server.replica import replica as moving
from tests.support.watched_rows import dependency, reload, service, shown, step, visible

SERVICES, DEPENDENCIES = 5, 8
ENDLESS = timedelta(hours=1)
# Keys with what becomes of them: name and team of a service, ends of a dependency; None = deleted.
NUMBERS = range(1, SERVICES + 1)
NAMED = list(product(NUMBERS, [None, "x"]))
JOINED = list(product(NUMBERS, NUMBERS, [1, 2]))
# Half of them are deletions.
SERVICE_MOVES = list(product(NUMBERS, [*NAMED, *[None] * len(NAMED)]))
DEPENDENCY_MOVES = list(product(range(11, 11 + DEPENDENCIES), [*JOINED, *[None] * len(JOINED)]))
MOVES = st.lists(st.sampled_from(SERVICE_MOVES) | st.sampled_from(DEPENDENCY_MOVES), max_size=6)
STEPS = st.lists(st.tuples(MOVES, st.sampled_from(["step", "step", "step", "copy", "reload"])), max_size=8)
Move = tuple[int, tuple[int | str | None, ...] | None]
Step = tuple[list[Move], str]


@dataclass(slots=True)
class World:
    """Tables, a replica that follows them, and the log of changes for watchers that resume."""

    replica: Replica = field(default_factory=lambda: Replica(timedelta(seconds=1)))
    services: dict[UUID, Service] = field(default_factory=dict)
    dependencies: dict[UUID, DependencyRow] = field(default_factory=dict)
    log: list[tuple[int, set[UUID], set[UUID]]] = field(default_factory=list)
    meanwhile: list[Step] = field(default_factory=list)
    going_on: asyncio.Task[None] | None = None

    @classmethod
    async def new(cls) -> "World":
        """Make one whose replica is warm."""
        world = cls()
        await reload(world.replica, *world.rows)
        return world

    @property
    def rows(self) -> list[Service | DependencyRow]:
        """All rows of both tables."""
        return [*self.services.values(), *self.dependencies.values()]

    def __post_init__(self) -> None:
        self.services = {row.id: row for row in map(_named, range(1, SERVICES + 1))}
        ring = [dependency(10 + n, n, n % SERVICES + 1) for n in range(1, SERVICES + 1)]
        self.dependencies = {row.id: row for row in ring}

    async def take(self, taken: Step) -> None:
        """Change the tables, and let the replica follow by keys or as a whole."""
        moves, how = taken
        changed: tuple[set[UUID], set[UUID]] = (set(), set())
        for number, wanted in moves:
            self._move(UUID(int=number), number, wanted, changed)
        before = self.replica.position
        assert before is not None
        after = before.snapshot.xmax + 1
        self.log.append((after, *changed))
        if how == "reload":
            await reload(self.replica, *self.rows)
            return
        rows = RowChanges(
            {key: self.services.get(key) for key in changed[0]},
            {key: self.dependencies.get(key) for key in changed[1]},
        )
        with patch.object(moving, "IN_PLACE", 0 if how == "copy" else 1_000):
            await step(self.replica, rows)
        assert self.replica.position is not None
        assert self.replica.position.snapshot.xmax == after

    def _move(
        self,
        key: UUID,
        number: int,
        wanted: tuple[int | str | None, ...] | None,
        changed: tuple[set[UUID], set[UUID]],
    ) -> None:
        if number > SERVICES:
            changed[1].add(key)
            self.dependencies.pop(key, None)
            if wanted is not None:
                source, target, timeout = (part if isinstance(part, int) else 0 for part in wanted)
                self.dependencies[key] = dependency(number, source, target, timeout)
            return
        changed[0].add(key)
        if wanted is None:
            self.services.pop(key, None)
            return
        row = _named(number, wanted[0], "x" if wanted[1] else None)
        taken = {other.service_id for other in self.services.values() if other.id != key}
        if row.service_id not in taken:
            self.services[key] = row

    async def changed(
        self, feed_id: str, since: Snapshot, until: Snapshot, at_most: int
    ) -> ChangedKeys | None:
        """Answer as the log in the database does, while the world moves on."""
        assert at_most > 0
        passed = [entry for entry in self.log if since.xmax < entry[0] <= until.xmax]
        assert self.replica.position is not None
        assert feed_id == self.replica.position.feed_id
        half = len(self.meanwhile) // 2
        await self._go_on(self.meanwhile[:half])
        self.going_on = asyncio.create_task(self._go_on(self.meanwhile[half:]))
        return ChangedKeys(
            {key.bytes for _, services, _ in passed for key in services},
            {key.bytes for _, _, dependencies in passed for key in dependencies},
        )

    async def _go_on(self, steps: list[Step]) -> None:
        for taken in steps:
            await self.take(taken)
            await asyncio.sleep(0)


def _named(number: int, name: int | str | None = None, team: str | None = None) -> Service:
    return service(number, f"name {name or number}", team)


@given(STEPS)
def test_every_batch_says_exactly_what_differs(steps: list[Step]) -> None:
    async def watch() -> None:
        world = await World.new()
        mirror = shown(world.rows)
        async with world.replica.subscriptions.opened(1_000) as subscription:
            for taken in steps:
                await world.take(taken)
                for batch in subscription.take_all():
                    mirror.fold(batch)
                assert mirror == shown(world.rows) == visible(world.replica)

    asyncio.run(watch())


@given(STEPS, STEPS, STEPS, STEPS)
def test_a_resumed_watcher_gets_everything_it_missed(
    known: list[Step], missed: list[Step], meanwhile: list[Step], later: list[Step]
) -> None:
    async def watch() -> None:
        world = await World.new()
        world.meanwhile = meanwhile
        watches = Watches(world.replica, world, WatchSettings(heartbeat=ENDLESS))
        for taken in known:
            await world.take(taken)
        mirror, since = shown(world.rows), world.replica.position
        assert since is not None
        for taken in missed:
            await world.take(taken)
        async with watches.watch(since.revision, include_state=False) as batches:
            first = await anext(batches)
            mirror.strict = False
            mirror.fold(first)
            assert mirror == visible(world.replica)
            assert first.event is not WatchEvent.RESET
            assert first.freshness.revision == world.replica.freshness().revision
            mirror.strict = True
            if world.going_on is not None:
                await world.going_on
            for taken in later:
                await world.take(taken)
            while mirror != shown(world.rows):
                mirror.fold(await anext(batches))
            assert mirror == visible(world.replica)

    asyncio.run(watch())
