"""Traversals by recursive SQL over the real tables, and plain rows written into those."""

from typing import TYPE_CHECKING
from uuid import UUID

from tests.support.oracle import Reached
from tests.support.rows import PlainFilter, Tables

if TYPE_CHECKING:
    import asyncpg

INSERT_SERVICES = "INSERT INTO services (id, service_id) SELECT * FROM unnest($1::uuid[], $2::text[])"

INSERT_DEPENDENCIES = """
INSERT INTO service_dependencies (
    id, source_service_id, target_service_id, communication_mode, criticality, discovery_source,
    confidence_score, is_stale
)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::bool[]
)
"""

# UNION drops a service met twice after equally many hops, so that cycles don't multiply rows.
WALK = """
WITH RECURSIVE
passing AS (
    SELECT d.id, d.source_service_id AS near, d.target_service_id AS far, 'downstream' AS direction
    FROM service_dependencies AS d
    WHERE d.communication_mode = ANY($4) AND d.criticality = ANY($5) AND d.discovery_source = ANY($6)
        AND d.confidence_score >= $7 AND ($8 OR NOT d.is_stale)
),
crossed AS (
    SELECT * FROM passing WHERE $2 IN ('downstream', 'both')
    UNION ALL
    SELECT id, far, near, 'upstream' FROM passing WHERE $2 IN ('upstream', 'both')
),
walk (service, direction, depth) AS (
    SELECT $1::uuid, direction, 0 FROM (VALUES ('downstream'), ('upstream')) AS ways (direction)
    UNION
    SELECT crossed.far, walk.direction, walk.depth + 1
    FROM walk
    JOIN crossed ON crossed.near = walk.service AND crossed.direction = walk.direction
    WHERE walk.depth < $3
)
"""

DEPTHS = f"""{WALK}
SELECT services.service_id AS name, min(walk.depth) AS depth
FROM walk
JOIN services ON services.id = walk.service
WHERE walk.service <> $1
GROUP BY services.service_id
"""

EDGES = f"""{WALK}
SELECT DISTINCT crossed.id
FROM walk
JOIN crossed ON crossed.near = walk.service AND crossed.direction = walk.direction
WHERE walk.depth < $3
"""


async def write(connection: "asyncpg.Connection[asyncpg.Record]", rows: Tables) -> None:
    """Insert the rows into the real tables, which must hold none of them yet."""
    await connection.execute(INSERT_SERVICES, *_columns(list(rows.services.values()), 2))
    await connection.execute(INSERT_DEPENDENCIES, *_columns(list(rows.edges.values()), 8))


async def reached(
    connection: "asyncpg.Connection[asyncpg.Record]",
    start: UUID,
    direction: str,
    max_depth: int,
    chosen: PlainFilter,
) -> Reached:
    """Traverse ``downstream``, ``upstream`` or ``both`` over what the tables hold."""
    question = (
        start,
        direction,
        max_depth,
        list(chosen.modes),
        list(chosen.criticalities),
        list(chosen.discoveries),
        chosen.min_confidence,
        chosen.include_stale,
    )
    depths = await connection.fetch(DEPTHS, *question)
    edges = await connection.fetch(EDGES, *question)
    return Reached({row["name"]: row["depth"] for row in depths}, {row["id"] for row in edges})


def _columns(rows: list[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]
