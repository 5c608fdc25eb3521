"""A graph, written straight into the tables."""

import asyncpg

from bench.graphs import Edges

_SERVICES = "INSERT INTO services (service_id) SELECT unnest($1::text[])"
_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync'
FROM unnest($1::text[], $2::text[]) AS call (parent, child)
JOIN services AS source ON source.service_id = call.parent
JOIN services AS target ON target.service_id = call.child
"""
_AT_ONCE = 100_000


async def write_services(connection: asyncpg.Connection, edges: Edges) -> None:
    """Services s0, s1, …"""
    await connection.execute(_SERVICES, [f"s{number}" for number in range(edges.nodes)], timeout=600)
    await connection.execute("ANALYZE services")


async def write_dependencies(connection: asyncpg.Connection, edges: Edges) -> None:
    """The edges, between services that are there."""
    for start in range(0, len(edges.pairs), _AT_ONCE):
        some = edges.pairs[start : start + _AT_ONCE]
        parents, children = [f"s{source}" for source, _ in some], [f"s{target}" for _, target in some]
        await connection.execute(_DEPENDENCIES, parents, children, timeout=600)
    await connection.execute("ANALYZE service_dependencies", timeout=600)
