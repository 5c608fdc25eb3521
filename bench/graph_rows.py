"""A random graph, written straight into the tables."""

import asyncpg

from bench.graphs import random_calls

SERVICES, DEPENDENCIES = 20_000, 100_000

_SERVICES = "INSERT INTO services (service_id) SELECT unnest($1::text[])"
_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync'
FROM unnest($1::text[], $2::text[]) AS call (parent, child)
JOIN services AS source ON source.service_id = call.parent
JOIN services AS target ON target.service_id = call.child
"""


async def write_graph(connection: asyncpg.Connection, services: int, dependencies: int) -> None:
    """Services s0, s1, …, and random dependencies between them."""
    calls = random_calls(services, dependencies)
    await connection.execute(_SERVICES, [f"s{number}" for number in range(services)])
    parents, children = [call["parent"] for call in calls], [call["child"] for call in calls]
    await connection.execute(_DEPENDENCIES, parents, children)
    await connection.execute("ANALYZE services; ANALYZE service_dependencies")
