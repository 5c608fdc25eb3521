"""Checks of a server after a fault, by calls and in the database."""

from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency, Service
from tests.support.backends import until_backends
from tests.support.calls import FRESH, Stubs
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.plain_sql import connected

AT_WORK = "application_name = 'depgraph' AND state <> 'idle'"
"""Sessions of the server's pool that run a statement or hold a transaction open."""

_ADJACENCY = """
    SELECT source.service_id AS name,
        coalesce(array_agg(DISTINCT target.service_id) FILTER (WHERE target.id IS NOT NULL), '{}')
        AS targets
    FROM services AS source
    LEFT JOIN service_dependencies AS dependency ON dependency.source_service_id = source.id
    LEFT JOIN services AS target ON target.id = dependency.target_service_id
    GROUP BY source.id
"""


async def assert_sound(channel: grpc.aio.Channel, url: str) -> None:
    """Check: SERVING, no session left behind, memory equals tables, a write can be read."""
    await assert_serving(channel)
    async with connected(url) as connection:
        await until_backends(connection, AT_WORK, 0)
    await assert_level_over_the_wire(channel, url)
    await assert_writes_are_read(channel)


async def assert_serving(channel: grpc.aio.Channel) -> None:
    """Health says SERVING."""
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def assert_level_over_the_wire(channel: grpc.aio.Channel, url: str) -> None:
    """A fully consistent adjacency list, stale dependencies included, is that of the tables."""
    request = graph.GetAdjacencyListRequest(include_stale=True, consistency=FRESH)
    answered: dict[str, set[str]] = {}
    async for message in Stubs(channel).graph.GetAdjacencyList(request, timeout=PATIENCE_SECONDS):
        answered.setdefault(message.service_id, set()).update(message.target_service_ids)
    async with connected(url) as connection:
        rows = await connection.fetch(_ADJACENCY)
    assert answered == {row["name"]: set(row["targets"]) for row in rows}


async def assert_writes_are_read(channel: grpc.aio.Channel) -> None:
    """A service that is created now is there for a read at its revision."""
    stubs, name = Stubs(channel), f"sound-{uuid4()}"
    created = await stubs.catalog.CreateService(
        catalog.CreateServiceRequest(service=Service(service_id=name))
    )
    request = graph.GetComponentRequest(
        service_id=name, consistency=Consistency(at_least_as_fresh=created.revision)
    )
    assert (await stubs.graph.GetComponent(request, timeout=PATIENCE_SECONDS)).component.size == 1
