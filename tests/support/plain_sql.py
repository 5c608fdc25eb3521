"""The tables as any PostgreSQL client sees them: statements, without a repository."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect for as long as the context lasts."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def insert(connection: asyncpg.Connection, table: str, **literals: str) -> asyncpg.Record:
    """Add a row, columns given as SQL literals, and return it as stored."""
    row = await connection.fetchrow(
        f"INSERT INTO {table} ({', '.join(literals)}) VALUES ({', '.join(literals.values())}) RETURNING *"
    )
    assert row is not None
    return row


async def insert_service(
    connection: asyncpg.Connection, service_id: str = "checkout", **literals: str
) -> UUID:
    """Add a service and return its row id."""
    row_id: UUID = (await insert(connection, "services", service_id=f"'{service_id}'", **literals))["id"]
    return row_id


async def definitions_of_indexes(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    """Describe the indexes of a table: the definition after its name, and whether it is unique."""
    rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1", table)
    return {
        name: ("UNIQUE " if "UNIQUE" in definition else "") + re.split(" USING (?:btree )?", definition)[1]
        for name, definition in rows
    }
