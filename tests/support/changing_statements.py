"""Random statements over few rows, each of which is one transaction, for tests of history."""

import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg

Connection = asyncpg.Connection
Statement = Callable[["Connection[asyncpg.Record]", random.Random], Awaitable[object]]

NAMES = [f"s{number}" for number in range(8)]
SOURCES = ("manual", "kubernetes", "catalog")
_SOME_SERVICE = "(SELECT id FROM services WHERE service_id = $1)"


async def add_service(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    await connection.execute(
        "INSERT INTO services (service_id, team, kind) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        dice.choice(NAMES),
        dice.choice((None, "shop")),
        dice.choice(("service", "database")),
    )


async def change_service(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    column, value = dice.choice(
        (
            ("team", "'pay'"),
            ("team", "NULL"),
            ("team", "''"),
            ("kind", "'queue'"),
            ("kind", "'service'"),
            ("criticality", "'high'"),
            ("discovered", "NOT discovered"),
            ("metadata", """'{"n": 1, "deep": [1, {"x": null}]}'"""),
            ("metadata", """'{"n": 2.5}'"""),
            ("created_at", "created_at + interval '1 second'"),
        )
    )
    await connection.execute(
        f"UPDATE services SET {column} = {value} WHERE service_id = $1", dice.choice(NAMES)
    )


async def rename(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Rename a service, or swap the names of two."""
    one, two = dice.sample(NAMES, 2)
    async with connection.transaction():
        await connection.execute("UPDATE services SET service_id = 'swapped' WHERE service_id = $1", one)
        await connection.execute("UPDATE services SET service_id = $1 WHERE service_id = $2", one, two)
        await connection.execute("UPDATE services SET service_id = $1 WHERE service_id = 'swapped'", two)


async def remove_service(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    await connection.execute("DELETE FROM services WHERE service_id = $1", dice.choice(NAMES))


async def add_dependency(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode,
            discovery_source, timeout_ms, confidence_score)
        SELECT a.id, b.id, 'sync', $3, $4, $5 FROM services AS a, services AS b
        WHERE a.service_id = $1 AND b.service_id = $2
        ON CONFLICT DO NOTHING""",
        *dice.sample(NAMES, 2),
        dice.choice(SOURCES),
        dice.choice((None, 250)),
        dice.choice((1.0, 0.4)),
    )


async def change_dependency(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    column, value = dice.choice(
        (
            ("communication_mode", "'async'"),
            ("criticality", "'soft'"),
            ("protocol", "'grpc'"),
            ("protocol", "NULL"),
            ("timeout_ms", "COALESCE(timeout_ms, 0) + 1"),
            ("retry_config", """'{"max_retries": 3, "backoff_strategy": "linear"}'"""),
            ("retry_config", "NULL"),
            ("confidence_score", "0.7"),
            ("is_stale", "NOT is_stale"),
            ("last_observed_at", "now()"),
            ("created_at", "created_at - interval '1 second'"),
        )
    )
    await connection.execute(
        f"UPDATE service_dependencies SET {column} = {value} WHERE source_service_id = {_SOME_SERVICE}",
        dice.choice(NAMES),
    )


async def move_dependency(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Let another service call, as a merge does."""
    await connection.execute(
        f"""UPDATE service_dependencies AS d SET source_service_id = s.id
        FROM services AS s
        WHERE s.service_id = $2 AND d.source_service_id = {_SOME_SERVICE} AND d.target_service_id <> s.id
            AND NOT EXISTS (
                SELECT FROM service_dependencies AS o
                WHERE o.source_service_id = s.id AND o.target_service_id = d.target_service_id
                    AND o.discovery_source = d.discovery_source
            )""",
        *dice.sample(NAMES, 2),
    )


async def decay(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Lower a confidence as the sweeper does; what was reported stays."""
    async with connection.transaction():
        await connection.execute("SELECT set_config('depgraph.staleness', 'swept', true)")
        await connection.execute(
            f"""UPDATE service_dependencies SET confidence_score = confidence_score / 2,
                reported_confidence = COALESCE(reported_confidence, confidence_score)
            WHERE source_service_id = {_SOME_SERVICE}""",
            dice.choice(NAMES),
        )


async def remove_dependency(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    await connection.execute(
        f"DELETE FROM service_dependencies WHERE target_service_id = {_SOME_SERVICE}", dice.choice(NAMES)
    )


async def there_and_back(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Remove dependencies and bring the same rows back."""
    gone = await connection.fetch(
        f"DELETE FROM service_dependencies WHERE source_service_id = {_SOME_SERVICE} RETURNING *",
        dice.choice(NAMES),
    )
    if gone:
        await connection.copy_records_to_table(
            "service_dependencies", columns=list(gone[0].keys()), records=[tuple(row) for row in gone]
        )


async def change_alias(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Give an alias to a service, perhaps taking it from another, or take it away."""
    alias = f"alias-{dice.randrange(3)}"
    if dice.random() < 0.3:
        await connection.execute("DELETE FROM service_aliases WHERE alias = $1", alias)
        return
    await connection.execute(
        f"""INSERT INTO service_aliases (alias, service_id)
        SELECT $2, {_SOME_SERVICE} WHERE EXISTS (SELECT FROM services WHERE service_id = $1)
        ON CONFLICT (alias) DO UPDATE SET service_id = excluded.service_id""",
        dice.choice(NAMES),
        alias,
    )


async def truncate(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Empty tables, and bring some of the rows back."""
    kept = await connection.fetch("SELECT * FROM services WHERE service_id < $1", dice.choice(NAMES))
    await connection.execute("TRUNCATE services CASCADE")
    if kept:
        await connection.copy_records_to_table(
            "services", columns=list(kept[0].keys()), records=[tuple(row) for row in kept]
        )


WEIGHTS: dict[Statement, int] = {
    add_service: 12,
    change_service: 8,
    rename: 3,
    remove_service: 6,
    add_dependency: 24,
    change_dependency: 14,
    move_dependency: 4,
    decay: 3,
    remove_dependency: 3,
    there_and_back: 3,
    change_alias: 6,
    truncate: 1,
}


async def change_something(connection: "Connection[asyncpg.Record]", dice: random.Random) -> None:
    """Run one of the statements."""
    [statement] = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
    await statement(connection, dice)


def key_of(text: str) -> UUID:
    """Read the id in a message."""
    return UUID(text)
