"""What the tables of a graph hold, without what the database makes itself: ids, times of rows."""

from typing import TypeAlias

import asyncpg

Connection: TypeAlias = asyncpg.Connection

_TABLES = {
    "services": "SELECT service_id, metadata::text, criticality, team, discovered, kind FROM services"
    " ORDER BY 1",
    "dependencies": """
        SELECT s.service_id, t.service_id, communication_mode, d.criticality, protocol, timeout_ms,
            retry_config::text, discovery_source, confidence_score, last_observed_at, is_stale
        FROM service_dependencies AS d
        JOIN services AS s ON s.id = d.source_service_id JOIN services AS t ON t.id = d.target_service_id
        ORDER BY 1, 2, 8""",
    "aliases": "SELECT alias, s.service_id FROM service_aliases JOIN services AS s"
    " ON s.id = service_aliases.service_id",
}


async def tables(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Read services, dependencies and aliases, sorted."""
    return {name: [tuple(row) for row in await connection.fetch(sql)] for name, sql in _TABLES.items()}
