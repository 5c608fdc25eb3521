"""DiffGraph against copies of the tables: rows by field, cycles and blast radii by networkx."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import networkx as nx
import pytest

from depgraph.v1 import history_service_pb2 as pb
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, MergeServicesRequest
from depgraph.v1.graph_service_pb2 import EdgeFilter, ListComponentsRequest
from depgraph.v1.types_pb2 import (
    DEPENDENCY_CRITICALITY_HARD,
    DISCOVERY_SOURCE_CATALOG,
    SERVICE_KIND_DATABASE,
    Dependency,
    Service,
)
from server.domain.revision import Revision
from tests.support.calls import FRESH, Stubs
from tests.support.changed_rows import Tables, alias_change, dependency_change, service_change
from tests.support.changing_statements import change_something
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection
SEEDS = range(2)
STATEMENTS_A_MARK = 12
MARKS = 4
WAITING = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'public.service_aliases'::regclass AND NOT granted)"
)
FROM_SERVICE = "source_service_id = (SELECT id FROM services WHERE service_id = $1)"
FILTERS = [
    EdgeFilter(),
    EdgeFilter(min_confidence=0.5),
    EdgeFilter(exclude_kinds=[SERVICE_KIND_DATABASE]),
    EdgeFilter(criticalities=[DEPENDENCY_CRITICALITY_HARD]),
    EdgeFilter(discovery_sources=[DISCOVERY_SOURCE_CATALOG]),
]


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark, and the tables as they were."""

    at: datetime
    tables: Tables


async def marked(connection: "Connection[asyncpg.Record]") -> Marked:
    """Mark this moment; no one else writes."""
    await connection.execute("SELECT depgraph_history.mark()")
    at = await connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
    return Marked(at, await Tables.copied(connection))


def request(earlier: datetime, later: datetime | None, **said: Any) -> pb.DiffGraphRequest:
    asked = pb.DiffGraphRequest(max_impacts=1_000, **said)
    getattr(asked, "from").time.FromDatetime(earlier)
    if later is not None:
        asked.to.time.FromDatetime(later)
    return asked


async def diff(stubs: Stubs, asked: pb.DiffGraphRequest) -> pb.DiffGraphResponse:
    whole = pb.DiffGraphResponse()
    async for part in stubs.history.DiffGraph(asked):
        whole.MergeFrom(part)
    return whole


def passing(tables: Tables, edge_filter: EdgeFilter, *, include_stale: bool) -> Tables:
    """Leave the dependencies that pass."""

    def passes(key: UUID) -> bool:
        row, message = tables.dependencies[key], tables.dependency(key)
        assert message is not None
        ends = [tables.service(row[end]) for end in ("source_service_id", "target_service_id")]
        kinds = {end.kind for end in ends if end is not None}
        return (
            (include_stale or not row["is_stale"])
            and row["reported"] >= edge_filter.min_confidence
            and not kinds & set(edge_filter.exclude_kinds)
            and (not edge_filter.criticalities or message.criticality in edge_filter.criticalities)
            and (
                not edge_filter.discovery_sources or message.discovery_source in edge_filter.discovery_sources
            )
        )

    kept = {key: row for key, row in tables.dependencies.items() if passes(key)}
    return Tables(tables.services, kept, tables.aliases)


def keys(change: Any) -> str:
    return str((change.after or change.before).id if change.HasField("after") else change.before.id)


def check_rows(found: pb.DiffGraphResponse, before: Tables, after: Tables) -> None:
    """Compare with what differs between the copies."""
    services = [service_change(before, after, key) for key in before.services.keys() | after.services.keys()]
    assert sorted(found.services, key=keys) == sorted(filter(None, services), key=keys)
    dependencies = [
        dependency_change(before, after, key)
        for key in before.dependencies.keys() | after.dependencies.keys()
    ]
    assert sorted(found.dependencies, key=keys) == sorted(filter(None, dependencies), key=keys)
    aliases = [alias_change(before, after, key) for key in before.aliases.keys() | after.aliases.keys()]
    found_aliases = sorted(map(repr, found.aliases))
    assert found_aliases == sorted(map(repr, filter(None, aliases)))


def check_order(found: pb.DiffGraphResponse) -> None:
    rows = [each.after if each.HasField("after") else each.before for each in found.dependencies]
    ranks = [(row.source_service_id, row.target_service_id, row.discovery_source) for row in rows]
    assert ranks == sorted(ranks)
    names = [(each.after if each.HasField("after") else each.before).service_id for each in found.services]
    assert names == sorted(names)
    assert [each.alias for each in found.aliases] == sorted(each.alias for each in found.aliases)


def calls(tables: Tables) -> "nx.DiGraph[UUID]":
    graph: nx.DiGraph[UUID] = nx.DiGraph()
    graph.add_nodes_from(tables.services)
    graph.add_edges_from(
        (row["source_service_id"], row["target_service_id"]) for row in tables.dependencies.values()
    )
    return graph


def check_impacts(found: pb.DiffGraphResponse, before: Tables, after: Tables) -> None:
    """Compare with the services that reach each service in both graphs."""
    was, now = calls(before), calls(after)
    nodes = set(was) | set(now)

    def name(key: UUID) -> str:
        return (after if key in after.services else before).name(key)

    def reach(graph: "nx.DiGraph[UUID]", key: UUID) -> set[UUID]:
        return nx.ancestors(graph, key) if key in graph else set()

    expected = sorted(
        (
            name(key),
            len(reach(was, key)),
            len(reach(now, key)),
            sorted(map(name, reach(now, key) - reach(was, key))),
            sorted(map(name, reach(was, key) - reach(now, key))),
        )
        for key in nodes
        if reach(was, key) != reach(now, key)
    )
    assert found.impact_change_count == len(expected)
    assert expected == sorted(
        (
            each.service_id,
            each.before,
            each.after,
            list(each.added_service_ids),
            list(each.removed_service_ids),
        )
        for each in found.impact_changes
    )


def components(graph: "nx.DiGraph[UUID]") -> set[frozenset[UUID]]:
    return {frozenset(each) for each in nx.strongly_connected_components(graph) if len(each) > 1}


def check_cycles(found: pb.DiffGraphResponse, before: Tables, after: Tables) -> None:
    """Compare with the components that appear, vanish, or get a new call inside."""
    was, now = calls(before), calls(after)
    old, new = components(was), components(now)
    gained = set(now.edges) - set(was.edges)

    def names(members: frozenset[UUID]) -> tuple[str, ...]:
        return tuple(sorted((after if key in after.services else before).name(key) for key in members))

    denser = {each for each in old & new if any(a in each and b in each for a, b in gained)}
    expected_before = sorted(map(names, (old - new) | denser))
    expected_after = sorted(map(names, (new - old) | denser))
    assert expected_before == sorted(tuple(c.members) for each in found.cycle_changes for c in each.before)
    assert expected_after == sorted(tuple(c.members) for each in found.cycle_changes for c in each.after)


async def history(connection: "Connection[asyncpg.Record]", dice: random.Random) -> list[Marked]:
    states = [await marked(connection)]
    for _ in range(MARKS):
        for _ in range(STATEMENTS_A_MARK):
            await change_something(connection, dice)
        states.append(await marked(connection))
    return states


def pairs(states: list[Marked]) -> Iterator[tuple[Marked, Marked]]:
    return combinations(states, 2)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_diff_is_the_difference_of_copies(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    states = await history(connection, dice)
    for earlier, later in pairs(states):
        edge_filter, include_stale = dice.choice(FILTERS), dice.random() < 0.5
        asked = request(earlier.at, later.at, filter=edge_filter, include_stale=include_stale)
        found = await diff(stubs, asked)
        before = passing(earlier.tables, edge_filter, include_stale=include_stale)
        after = passing(later.tables, edge_filter, include_stale=include_stale)
        check_order(found)
        check_rows(found, before, after)
        check_impacts(found, before, after)
        check_cycles(found, before, after)
        assert getattr(found, "from").as_of_time.ToDatetime(earlier.at.tzinfo) == earlier.at
        assert found.to.as_of_time.ToDatetime(later.at.tzinfo) == later.at
    # The same states by the revisions of their answers, and the present.
    by_time = await diff(stubs, request(states[1].at, states[3].at))
    by_revision = pb.DiffGraphRequest(max_impacts=1_000, to=pb.PointInTime(revision=by_time.to.revision))
    getattr(by_revision, "from").revision = getattr(by_time, "from").revision
    assert await diff(stubs, by_revision) == by_time


@pytest.mark.parametrize("seed", SEEDS)
async def test_without_a_later_state_the_live_graph_is_compared(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", seed: int
) -> None:
    dice = random.Random(100 + seed)  # noqa: S311 - no secret
    states = await history(connection, dice)
    for _ in range(STATEMENTS_A_MARK):
        await change_something(connection, dice)
    now = await Tables.copied(connection)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    for state in states:
        edge_filter = dice.choice(FILTERS)
        found = await diff(stubs, request(state.at, None, filter=edge_filter))
        before = passing(state.tables, edge_filter, include_stale=False)
        after = passing(now, edge_filter, include_stale=False)
        check_order(found)
        check_rows(found, before, after)
        check_impacts(found, before, after)
        check_cycles(found, before, after)
        assert found.to.HasField("lag")


async def test_a_table_that_is_emptied_meanwhile_keeps_its_place_in_the_answer(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", database_url: str
) -> None:
    before = await marked(connection)
    await stubs.write_edges("a>b")
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id)"
        " SELECT 'other', id FROM services WHERE service_id = 'a'"
    )
    after = await marked(connection)
    writer = await asyncpg.connect(database_url)
    await writer.execute("BEGIN; TRUNCATE service_aliases")
    asking = asyncio.create_task(diff(stubs, request(before.at, after.at)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not asking.done() and not await connection.fetchval(WAITING):
            await asyncio.sleep(0.005)
    await writer.execute("COMMIT")
    await writer.close()
    try:
        found = await asking
    except grpc.aio.AioRpcError as error:
        # It waits for half a second only.
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        found = await diff(stubs, request(before.at, after.at))
    assert [(each.alias, each.after) for each in found.aliases] == [("other", "a")]


async def test_a_confidence_that_decays_is_no_difference(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    await stubs.write_edges("a>b", "b>a", confidence_score=0.8)
    before = await marked(connection)
    await connection.execute(
        "UPDATE service_dependencies SET confidence_score = 0.1, reported_confidence = confidence_score"
    )
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    found = await diff(stubs, request(before.at, None, filter=EdgeFilter(min_confidence=0.5)))
    assert not (found.dependencies)
    assert not (found.cycle_changes)
    assert not (found.impact_changes)


async def test_what_went_back_to_what_it_was_is_no_difference(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    await stubs.write_edges("a>b", timeout_ms=1)
    before = await marked(connection)
    for team, timeout in (("other", 2), (None, 1)):
        await connection.execute("UPDATE services SET team = $1", team)
        await connection.execute("UPDATE service_dependencies SET timeout_ms = $1", timeout)
    after = await marked(connection)
    found = await diff(stubs, request(before.at, after.at))
    assert not found.services
    assert not found.dependencies


async def test_dependencies_of_what_turned_into_an_excluded_kind_differ_as_they_were_then(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    await stubs.write_edges("a>b", "c>b", "d>b", "a>new", timeout_ms=1)
    before = await marked(connection)
    await connection.execute("UPDATE services SET kind = 'database' WHERE service_id = 'b'")
    await connection.execute(f"UPDATE service_dependencies SET timeout_ms = 2 WHERE {FROM_SERVICE}", "d")
    after = await marked(connection)
    # What came after the later state is none of its business.
    for source in ("a", "d"):
        await connection.execute(
            f"UPDATE service_dependencies SET timeout_ms = 3 WHERE {FROM_SERVICE}", source
        )
    await connection.execute(f"DELETE FROM service_dependencies WHERE {FROM_SERVICE}", "c")
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT a.id, b.id, 'sync' FROM services AS a, services AS b
        WHERE a.service_id = 'new' AND b.service_id = 'b'"""
    )
    now = await marked(connection)
    edge_filter = EdgeFilter(exclude_kinds=[SERVICE_KIND_DATABASE])
    was = passing(before.tables, edge_filter, include_stale=False)
    for later, count in ((after, 3), (now, 4)):
        found = await diff(stubs, request(before.at, later.at, filter=edge_filter))
        assert len(found.dependencies) == count
        check_rows(found, was, passing(later.tables, edge_filter, include_stale=False))


async def test_after_a_restore_changes_are_told_apart_by_their_times(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    states = await history(connection, dice)
    # As if the dump of another cluster had been restored, whose snapshots mean nothing here.
    await connection.execute("UPDATE depgraph_history.lineages SET origin = '1:2'")
    await connection.execute(
        """UPDATE depgraph_history.marks AS m
        SET snapshot = format('%1$s:%1$s:', 99999999 + n.place)::pg_snapshot
        FROM (SELECT at, row_number() OVER (ORDER BY at) AS place FROM depgraph_history.marks) AS n
        WHERE n.at = m.at"""
    )
    for _ in range(STATEMENTS_A_MARK):
        await change_something(connection, dice)
    restored = await marked(connection)
    for _ in range(STATEMENTS_A_MARK):
        await change_something(connection, dice)
    now = await Tables.copied(connection)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    for earlier in states:
        for later, tables in (
            (states[-1].at, states[-1].tables),
            (restored.at, restored.tables),
            (None, now),
        ):
            found = await diff(stubs, request(earlier.at, later, include_stale=True))
            check_rows(found, earlier.tables, tables)
            check_impacts(found, earlier.tables, tables)
            check_cycles(found, earlier.tables, tables)
            assert getattr(found, "from").approximate
            assert found.to.approximate == (later == states[-1].at)


async def test_what_was_in_flight_at_a_mark_came_after_it(
    stubs: Stubs, connection: "Connection[asyncpg.Record]", database_url: str
) -> None:
    await stubs.write_edges("a>b")
    other: Connection[asyncpg.Record] = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.execute("UPDATE services SET team = 'slow' WHERE service_id = 'a'")
            await stubs.write_services("c")
            first = await marked(connection)
        await stubs.write_services("d")
        second = await marked(connection)
    finally:
        await other.close()
    found = await diff(stubs, request(first.at, second.at))
    check_rows(found, first.tables, second.tables)
    assert len(found.services) == 2
    changes = pb.ListChangesRequest()
    changes.since.FromDatetime(first.at)
    changes.until.FromDatetime(second.at)
    listed = (await stubs.history.ListChanges(changes)).changes
    assert [change.service.after.service_id for change in listed] == ["d", "a"]


async def test_a_merge_moves_dependencies_removes_a_service_and_leaves_an_alias(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    await stubs.write_edges("shop>db", "user>shop", "web>cache")
    before = await marked(connection)
    await stubs.catalog.MergeServices(MergeServicesRequest(from_service_id="shop", into_service_id="web"))
    after = await marked(connection)
    found = await diff(stubs, request(before.at, after.at))
    check_rows(found, before.tables, after.tables)
    changes = pb.ListChangesRequest()
    changes.since.FromDatetime(before.at)
    changes.until.FromDatetime(after.at)
    listed = (await stubs.history.ListChanges(changes)).changes
    shown = [(change.service, change.dependency, change.alias) for change in listed]
    services, dependencies, aliases = (
        [each for each in some if each.kind] for some in zip(*shown, strict=True)
    )
    for of_services, moved, added in (
        (found.services, found.dependencies, found.aliases),
        (services, dependencies, aliases),
    ):
        removed = [each for each in of_services if each.kind == pb.CHANGE_KIND_REMOVED]
        assert [each.before.service_id for each in removed] == ["shop"]
        assert sorted((ends(each.before), ends(each.after)) for each in moved) == [
            ("shop>db", "web>db"),
            ("user>shop", "user>web"),
        ]
        assert [(each.alias, each.before, each.after) for each in added] == [("shop", "", "web")]


def ends(row: Dependency) -> str:
    return f"{row.source_service_id}>{row.target_service_id}"


async def test_the_revision_of_a_write_names_the_first_mark_that_holds_it(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    await marked(connection)
    written = await stubs.catalog.CreateService(CreateServiceRequest(service=Service(service_id="a")))
    first = await marked(connection)
    await stubs.write_services("b")
    await marked(connection)
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    asked = pb.DiffGraphRequest()
    getattr(asked, "from").revision = written.revision
    found = await diff(stubs, asked)
    assert getattr(found, "from").as_of_time.ToDatetime(first.at.tzinfo) == first.at
    assert [change.after.service_id for change in found.services] == ["b"]


async def test_states_in_the_wrong_order_or_of_another_database_are_refused(
    stubs: Stubs, connection: "Connection[asyncpg.Record]"
) -> None:
    first = await marked(connection)
    await stubs.write_services("a")
    second = await marked(connection)
    whole = await diff(stubs, request(first.at, second.at))
    turned = pb.DiffGraphRequest(to=pb.PointInTime(revision=getattr(whole, "from").revision))
    getattr(turned, "from").revision = whole.to.revision
    failure = await failure_of(stubs.history.DiffGraph(turned).read())
    assert (failure.code, failure.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"from": "is after to"})
    other = pb.DiffGraphRequest()
    getattr(other, "from").revision = Revision(f"1:2:{UUID(int=3)}", xid=4).token
    failure = await failure_of(stubs.history.DiffGraph(other).read())
    assert failure.reason == "REVISION_UNKNOWN"
