"""MergeServices on random graphs, against the merge done by hand in a dictionary; two replicas."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency
from server.config import Settings
from tests.support.calls import Stubs
from tests.support.channels import channel_to_new_server
from tests.support.examples import examples

# The transport only carries the calls.
pytestmark = pytest.mark.one_transport

EXAMPLES = 40
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("a", "b", "c", "d", "unknown")
GOING, STAYING = "a", "b"
SOURCES = ("manual", "kubernetes", "otel_service_graph")


class Node(NamedTuple):
    """A service, without its name; ``metadata`` as a dictionary."""

    metadata: dict[str, int]
    criticality: str
    team: str | None
    kind: str
    discovered: bool


class Edge(NamedTuple):
    """A dependency, without its key: who calls whom, and which source says so."""

    id: int
    mode: str
    criticality: str
    protocol: str | None
    timeout: int | None
    retries: str | None
    confidence: float
    reported: float | None
    observed: datetime
    is_stale: bool


Key = tuple[str, str, str]


@dataclass
class World:
    """What the tables hold."""

    nodes: dict[str, Node]
    edges: dict[Key, Edge]
    aliases: dict[str, str]


nodes = st.builds(
    Node,
    st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=3),
    st.sampled_from(["critical", "medium", "unknown"]),
    st.sampled_from([None, "shop", "infra"]),
    st.sampled_from(["service", "database", "queue"]),
    st.booleans(),
)
edges = st.builds(
    Edge,
    st.just(0),
    st.sampled_from(["sync", "async", "unknown"]),
    st.sampled_from(["hard", "soft", "unknown"]),
    st.sampled_from([None, "http", "grpc"]),
    st.sampled_from([None, 5, 9]),
    st.sampled_from([None, '{"max_retries": 2}', '{"max_retries": 3}']),
    st.sampled_from([0.25, 0.5]),
    st.sampled_from([None, None, 0.75, 1.0]),
    st.sampled_from([NOON, NOON + timedelta(hours=1)]),
    st.booleans(),
)
calls = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(SOURCES)).filter(
    lambda key: key[0] != key[1]
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A few services, rather many calls between them, some aliases."""
    drawn = draw(st.dictionaries(calls, edges, max_size=25))
    ids = draw(st.permutations(range(len(drawn))))
    return World(
        {name: draw(nodes) for name in NAMES},
        {key: edge._replace(id=1 + number) for number, (key, edge) in zip(ids, drawn.items(), strict=True)},
        draw(st.dictionaries(st.sampled_from("pqrs"), st.sampled_from(NAMES), max_size=4)),
    )


def merged_by_hand(world: World) -> tuple[World, dict[str, int]]:
    """Merge the going service into the staying one; returns the counts of the answer, too."""
    counts = {"dependencies_moved": 0, "dependencies_merged": 0, "self_calls_dropped": 0}
    result: dict[Key, Edge] = {}
    # Those of the service that stays come first, so that a row of its own is there to merge into.
    for key, edge in sorted(world.edges.items(), key=lambda item: GOING in item[0][:2]):
        source, target = (STAYING if name == GOING else name for name in key[:2])
        if source == target:
            counts["self_calls_dropped"] += 1
            continue
        new_key = (source, target, key[2])
        if new_key in result:
            counts["dependencies_merged"] += 1
            result[new_key] = merged_edge(result[new_key], edge)
        else:
            counts["dependencies_moved"] += new_key != key
            result[new_key] = edge
    moved = {alias: STAYING if of == GOING else of for alias, of in world.aliases.items()}
    counts["aliases_moved"] = sum(of == GOING for of in world.aliases.values())
    left = {name: node for name, node in world.nodes.items() if name != GOING}
    left[STAYING] = merged_node(world.nodes[GOING], world.nodes[STAYING])
    return World(left, result, {**moved, GOING: STAYING}), counts


def merged_edge(kept: Edge, going: Edge) -> Edge:
    lead, other = sorted(
        (kept, going), key=lambda edge: (edge.is_stale, -edge.confidence, -edge.observed.timestamp(), edge.id)
    )
    return lead._replace(
        id=kept.id,
        mode=other.mode if lead.mode == "unknown" else lead.mode,
        criticality=other.criticality if lead.criticality == "unknown" else lead.criticality,
        protocol=lead.protocol or other.protocol,
        timeout=lead.timeout or other.timeout,
        retries=lead.retries or other.retries,
        observed=max(lead.observed, other.observed),
    )


def merged_node(going: Node, staying: Node) -> Node:
    lead, other = (going, staying) if staying.discovered and not going.discovered else (staying, going)
    return Node(
        {**other.metadata, **lead.metadata},
        other.criticality if lead.criticality == "unknown" else lead.criticality,
        lead.team or other.team,
        other.kind if lead.kind == "service" else lead.kind,
        lead.discovered and other.discovered,
    )


async def write(connection: asyncpg.Connection, world: World) -> None:
    """Replace what the tables hold."""
    ids = {name: UUID(int=number) for number, name in enumerate(NAMES, 1)}
    async with connection.transaction():
        await connection.execute("DELETE FROM services; DELETE FROM service_aliases")
        await connection.executemany(
            "INSERT INTO services (id, service_id, metadata, criticality, team, kind, discovered)"
            " VALUES ($1, $2, $3::text::jsonb, $4, $5, $6, $7)",
            [(ids[name], name, json.dumps(node.metadata), *node[1:]) for name, node in world.nodes.items()],
        )
        await connection.executemany(
            "INSERT INTO service_dependencies VALUES"
            " ($1, $2, $3, $5, $6, $7, $8, $9::text::jsonb, $4, $10, $12, $13, now(), now(), $11)",
            [
                (UUID(int=edge.id), ids[source], ids[target], said_by, *edge[1:])
                for (source, target, said_by), edge in world.edges.items()
            ],
        )
        await connection.executemany(
            "INSERT INTO service_aliases (alias, service_id) VALUES ($1, $2)",
            [(alias, ids[name]) for alias, name in world.aliases.items()],
        )


async def read(connection: asyncpg.Connection) -> World:
    """Read what the tables hold."""
    services = await connection.fetch(
        "SELECT service_id, metadata::text, criticality, team, kind, discovered FROM services"
    )
    dependencies = await connection.fetch(
        "SELECT s.service_id, t.service_id, discovery_source, d.id, communication_mode, d.criticality,"
        " protocol, timeout_ms, retry_config::text, confidence_score, reported_confidence,"
        " last_observed_at, is_stale FROM service_dependencies AS d"
        " JOIN services AS s ON s.id = source_service_id JOIN services AS t ON t.id = target_service_id"
    )
    aliases = await connection.fetch(
        "SELECT alias, s.service_id FROM service_aliases AS a JOIN services AS s ON s.id = a.service_id"
    )
    return World(
        {row[0]: Node(json.loads(row[1]), *row[2:]) for row in map(tuple, services)},
        {row[:3]: Edge(row[3].int, *row[4:]) for row in map(tuple, dependencies)},
        dict(map(tuple, aliases)),
    )


@asynccontextmanager
async def two_servers(url: str) -> AsyncIterator[tuple[Stubs, Stubs]]:
    settings = Settings(listen="127.0.0.1:0", database_url=url)
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(channel_to_new_server(settings)) for _ in range(2)]
        yield Stubs(first), Stubs(second)


def test_a_merge_is_what_it_would_be_by_hand_on_every_replica_and_when_only_tried(database_url: str) -> None:
    with asyncio.Runner() as runner, entered(runner, two_servers(database_url)) as servers:
        connection = runner.run(asyncpg.connect(database_url))

        @examples(EXAMPLES)
        @given(worlds())
        def check(world: World) -> None:
            runner.run(check_merge(connection, servers, world))

        try:
            check()
        finally:
            runner.run(connection.close())


async def check_merge(connection: asyncpg.Connection, servers: tuple[Stubs, Stubs], world: World) -> None:
    first, second = servers
    await write(connection, world)
    expected, counts = merged_by_hand(world)
    request = pb.MergeServicesRequest(from_service_id=GOING, into_service_id=STAYING, validate_only=True)

    tried = await second.catalog.MergeServices(request)
    assert await read(connection) == world
    request.validate_only = False
    answer = await first.catalog.MergeServices(request)

    assert await read(connection) == expected
    assert {name: getattr(answer, name) for name in counts} == counts
    fresh = Consistency(at_least_as_fresh=answer.revision)
    for said in (tried, answer):
        said.revision = ""
        said.service.ClearField("update_time")
    assert tried == answer
    for stubs in servers:
        assert await remembered(stubs, GOING, fresh) == {
            (key, edge.id) for key, edge in expected.edges.items() if STAYING in key[:2]
        }


async def remembered(stubs: Stubs, name: str, fresh: Consistency) -> set[tuple[Key, int]]:
    """Ask a replica for the dependencies of a service, by an alias."""
    walked = await stubs.graph.Traverse(
        graph.TraverseRequest(
            service_id=name,
            direction=graph.DIRECTION_BOTH,
            max_depth=1,
            include_stale=True,
            consistency=fresh,
        )
    )
    assert [(each.alias, each.service_id) for each in walked.resolved_aliases] == [(GOING, STAYING)]
    sources = ("", "manual", "otel_service_graph", "kubernetes")
    return {
        (
            (each.source_service_id, each.target_service_id, sources[each.discovery_source]),
            UUID(each.id).int,
        )
        for each in walked.dependencies
    }


@contextmanager
def entered(runner: asyncio.Runner, manager: Any) -> Iterator[Any]:
    """Enter an asynchronous context manager on the loop of a runner."""
    value = runner.run(manager.__aenter__())
    try:
        yield value
    finally:
        runner.run(manager.__aexit__(None, None, None))
