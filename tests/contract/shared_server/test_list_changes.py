"""ListChanges against copies of the tables, taken after each transaction."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import networkx as nx
import pytest

from depgraph.v1 import history_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from server.domain.revision import Revision
from server.rpc.history import pasts
from server.store.history_changes import HistoryRepository
from tests.support.calls import FRESH, Stubs, pages
from tests.support.changed_rows import Tables, alias_change, dependency_change, service_change
from tests.support.changing_statements import change_something
from tests.support.failures import failure_of

if TYPE_CHECKING:
    from uuid import UUID

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection
SEEDS = range(2)
STATEMENTS = 40
STEPS = 8
"""Pages after which others write."""
WHO = ("", "ann", "bob")


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


@dataclass(frozen=True, slots=True)
class State:
    """The tables after a transaction, and who made it; ``marked_at`` if it was marked."""

    tables: Tables
    xid: int
    who: str
    marked_at: datetime | None = None


@dataclass
class Recorder:
    """A connection that copies the tables after each transaction; has what statements use."""

    connection: "Connection[asyncpg.Record]"
    states: list[State] = field(default_factory=list)
    who: str = ""
    is_open: bool = False

    async def act_as(self, who: str) -> None:
        """Let what follows be by someone; empty = no one says so."""
        self.who = who
        await self.connection.execute("SELECT set_config('depgraph.principal', $1, false)", who)

    async def execute(self, statement: str, *values: Any) -> None:
        async with self._recorded():
            await self.connection.execute(statement, *values)

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        if statement.lstrip().startswith("SELECT"):
            return await self.connection.fetch(statement, *values)
        async with self._recorded():
            return await self.connection.fetch(statement, *values)

    async def copy_records_to_table(self, table: str, **content: Any) -> None:
        async with self._recorded():
            await self.connection.copy_records_to_table(table, **content)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        async with self._recorded():
            self.is_open = True
            try:
                yield
            finally:
                self.is_open = False

    async def mark(self) -> None:
        """Mark this moment."""
        at = await marked(self.connection)
        self.states.append(State(await Tables.copied(self.connection), 0, "", at))

    @asynccontextmanager
    async def _recorded(self) -> AsyncIterator[None]:
        if self.is_open:
            yield
            return
        async with self.connection.transaction():
            yield
            xid = await self.connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        self.states.append(State(await Tables.copied(self.connection), xid, self.who))


async def recorded(connection: "Connection[asyncpg.Record]", dice: random.Random) -> Recorder:
    """Run random statements with marks in between."""
    recorder = Recorder(connection)
    await recorder.mark()
    for _ in range(STATEMENTS):
        if dice.random() < 0.2:
            await recorder.act_as(dice.choice(WHO))
        if dice.random() < 0.15:
            await recorder.mark()
        await change_something(recorder, dice)  # type: ignore[arg-type] # has what is used of one
    await recorder.mark()
    await recorder.act_as("")
    return recorder


def asked(**said: Any) -> pb.ListChangesRequest:
    return pb.ListChangesRequest(**said)


async def listed(stubs: Stubs, size: int = 7, **said: Any) -> list[pb.Change]:
    async def ask(token: str) -> pb.ListChangesResponse:
        return await stubs.history.ListChanges(asked(page_size=size, page_token=token, **said))

    return [change async for page in pages(ask) for change in page.changes]


def subject(change: pb.Change) -> Any:
    return getattr(change, change.WhichOneof("subject") or "")


def key_of(change: pb.Change) -> str:
    kind, message = change.WhichOneof("subject"), subject(change)
    if kind == "alias":
        return f"alias {message.alias}"
    return f"{kind} {(message.after if message.HasField('after') else message.before).id}"


def expected(before: Tables, after: Tables) -> dict[str, Any]:
    """Say what a transaction changed, by subject."""
    found: dict[str, Any] = {}
    for key in before.services.keys() | after.services.keys():
        found[f"service {key}"] = service_change(before, after, key)
    for key in before.dependencies.keys() | after.dependencies.keys():
        found[f"dependency {key}"] = dependency_change(before, after, key)
    for key in before.aliases.keys() | after.aliases.keys():
        row = (after.aliases.get(key) or before.aliases[key])["alias"]
        found[f"alias {row}"] = alias_change(before, after, key)
    return {key: change for key, change in found.items() if change is not None}


def check_transaction(changes: Sequence[pb.Change], before: Tables, after: State) -> None:
    """Compare the changes of a transaction, newest first, with the copies around it."""
    net = expected(before, after.tables)
    chains: dict[str, list[Any]] = {}
    for change in reversed(changes):
        assert change.who == after.who
        chains.setdefault(key_of(change), []).append(subject(change))
    assert net.keys() <= chains.keys()
    for key, chain in chains.items():
        for earlier, later in pairwise(chain):
            assert earlier.after == later.before
        if len(chain) == 1:
            assert chain[0] == net[key]
        elif key in net:
            assert (chain[0].before, chain[-1].after) == (net[key].before, net[key].after)


def xid_of(change: pb.Change) -> int:
    xid = Revision.parse(change.revision).xid
    assert xid is not None
    return xid


async def marked(connection: "Connection[asyncpg.Record]") -> datetime:
    """Mark this moment, and return its time."""
    await connection.execute("SELECT depgraph_history.mark()")
    at = await connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
    assert isinstance(at, datetime)
    return at


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_transaction_is_listed_once_newest_first(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    recorder = await recorded(connection, dice)
    states = recorder.states
    marks = [place for place, state in enumerate(states) if state.marked_at is not None]
    begin, end = sorted(dice.sample(marks, 2))
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    for first, last in ((marks[0], marks[-1]), (begin, end)):
        changes = await listed(stubs, since=states[first].marked_at, until=states[last].marked_at)
        by_transaction = [list(some) for _, some in groupby(changes, xid_of)]
        steps = [
            (states[place - 1].tables, states[place])
            for place in range(last, first, -1)
            if states[place].marked_at is None
        ]
        steps = [
            (before, after)
            for before, after in steps
            if expected(before, after.tables) or any(xid_of(change) == after.xid for change in changes)
        ]
        assert [xid_of(some[0]) for some in by_transaction] == [after.xid for _, after in steps]
        for some, (before, after) in zip(by_transaction, steps, strict=True):
            check_transaction(some, before, after)


def hops_of(change: pb.Change, far: dict[str, int]) -> int | None:
    """Measure how far a change is, by the names of its services then."""
    message = subject(change)
    sides = [
        side
        for side in ("before", "after")
        if change.WhichOneof("subject") == "alias" or message.HasField(side)
    ]
    names: list[str] = []
    for side in sides:
        row = getattr(message, side)
        match change.WhichOneof("subject"):
            case "service":
                names.append(row.id)
            case "dependency":
                names += [row.source_service_id, row.target_service_id]
            case _:
                names += [row] if row else []
    return min((far[name] for name in names if name in far), default=None)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_nearest_changes_come_first(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    # Names stay, so that they tell which service a change is about.
    recorder = Recorder(connection)
    await connection.execute(
        "INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(0, 7) AS n"
    )
    await recorder.mark()
    for _ in range(STATEMENTS):
        await change_edges(recorder, dice)
        if dice.random() < 0.15:
            await recorder.mark()
    await recorder.mark()
    states = recorder.states
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    marks = [place for place, state in enumerate(states) if state.marked_at is not None]
    first, last = sorted(dice.sample(marks, 2))
    window: dict[str, Any] = {"since": states[first].marked_at, "until": states[last].marked_at}
    everything = await listed(stubs, **window)
    graph: nx.Graph[UUID] = nx.Graph()
    graph.add_nodes_from(states[0].tables.services)
    for state in states[first:]:
        graph.add_edges_from(
            (row["source_service_id"], row["target_service_id"]) for row in state.tables.dependencies.values()
        )
    names = {key: row["service_id"] for key, row in states[0].tables.services.items()}
    for key, name in names.items():
        for most in (0, 2):
            reached = nx.single_source_shortest_path_length(graph, key, cutoff=most)
            far = {names[each]: hops for each, hops in reached.items()}
            far |= {str(each): hops for each, hops in reached.items()}
            near = [(hops_of(change, far), change) for change in everything]
            wanted = sorted(
                ((hops, change) for hops, change in near if hops is not None), key=lambda each: each[0]
            )
            found = await listed(stubs, size=20, service_id=name, max_hops=most, **window)
            assert [change.hops for change in found] == [hops for hops, _ in wanted]
            for change in found:
                change.hops = 0
            assert found == [change for _, change in wanted]


async def change_edges(recorder: Recorder, dice: random.Random) -> None:
    """Change anything but names and the set of services."""
    one, two = (
        f"(SELECT id FROM services WHERE service_id = 's{each}')" for each in dice.sample(range(8), 2)
    )
    statements = (
        f"""INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        VALUES ({one}, {two}, 'sync') ON CONFLICT DO NOTHING""",
        f"""UPDATE service_dependencies SET timeout_ms = COALESCE(timeout_ms, 0) + 1
        WHERE source_service_id = {one}""",
        f"DELETE FROM service_dependencies WHERE source_service_id = {one}",
        f"UPDATE services SET team = COALESCE(team, '') || 'x' WHERE id = {one}",
        f"""INSERT INTO service_aliases (alias, service_id) VALUES ('alias-{dice.randrange(4)}', {one})
        ON CONFLICT (alias) DO UPDATE SET service_id = excluded.service_id""",
    )
    [statement] = dice.choices(statements, (10, 3, 1, 2, 2))
    await recorder.execute(statement)


async def test_pages_stay_the_same_while_writers_go_on(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    since = await marked(connection)
    await stubs.write_edges("a>b", "b>c", "c>d", "x>y")
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    whole = await listed(stubs, size=1_000, since=since)
    near = await listed(stubs, size=1_000, since=since, service_id="a", max_hops=3)
    assert len(near) == len(whole) - 3
    for said in ({}, {"service_id": "a", "max_hops": 3}):
        await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
        wanted = await listed(stubs, size=1_000, since=since, **said)
        found: list[pb.Change] = []
        token = ""
        for step in range(len(wanted)):
            page = await stubs.history.ListChanges(asked(page_size=1, page_token=token, since=since, **said))
            found += page.changes
            token = page.next_page_token
            if step < STEPS:
                # A shorter way, a longer one, and changes of what is listed.
                await stubs.write_edges("a>d", "x>a", f"z{step}>b", timeout_ms=step + 1)
                await connection.execute("DELETE FROM service_dependencies WHERE timeout_ms = $1", step)
        assert not token
        assert found == wanted


async def test_calls_that_are_gone_count_for_distances_and_later_ones_do_not(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    since = await marked(connection)
    await stubs.write_edges("a>b", "b>c", "x>y")
    await connection.execute(
        "DELETE FROM service_dependencies AS d USING services AS s"
        " WHERE s.id = d.source_service_id AND s.service_id = 'a'"
    )
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    near: dict[str, Any] = {"service_id": "a", "max_hops": 2, "since": since}
    first = await stubs.history.ListChanges(asked(page_size=1, **near))
    await stubs.write_edges("a>x")
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    rest = await stubs.history.ListChanges(asked(page_token=first.next_page_token, **near))
    # The call of b and its end, both ways; then b and its call of c; then c.
    assert [change.hops for change in (*first.changes, *rest.changes)] == [0, 0, 0, 1, 1, 2]


async def test_a_service_is_found_by_its_alias_and_when_it_is_gone(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    since = await marked(connection)
    await stubs.write_edges("a>b")
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id)"
        " SELECT 'other', id FROM services WHERE service_id = 'a'"
    )
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    answer = await stubs.history.ListChanges(asked(service_id="other", since=since))
    assert [(each.alias, each.service_id) for each in answer.resolved_aliases] == [("other", "a")]
    assert [change.hops for change in answer.changes] == [0, 0, 0, 1]
    await connection.execute("DELETE FROM services WHERE service_id = 'a'")
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    gone = await stubs.history.ListChanges(asked(service_id="a", max_hops=0, since=since))
    assert [each.WhichOneof("subject") for each in gone.changes[:3]] == ["dependency", "alias", "service"]
    assert all(subject(each).kind == pb.CHANGE_KIND_REMOVED for each in gone.changes[:3])
    assert gone.changes[0].dependency.before.source_service_id == "a"
    assert gone.changes[1].alias.before == "a"
    assert len(gone.changes) == 6
    failure = await failure_of(stubs.history.ListChanges(asked(service_id="never")))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    failure = await failure_of(stubs.history.ListChanges(asked(since=datetime(2001, 1, 1, tzinfo=UTC))))
    assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_UNAVAILABLE")
    assert "oldest_time" in failure.metadata


async def test_a_slow_database_does_not_hold_the_graph_still_for_long(
    stubs: Stubs, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(pasts, "LONGEST_HOLD_SECONDS", 0.01)
    monkeypatch.setattr(HistoryRepository, "former_ends", never)
    await connection.execute("INSERT INTO services (service_id) VALUES ('web')")
    await connection.execute("SELECT depgraph_history.mark()")
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    refused = await failure_of(stubs.history.ListChanges(pb.ListChangesRequest(service_id="web")))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert "ask for a shorter time" in refused.message
