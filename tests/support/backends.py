"""What the sessions of a database are doing, out of ``pg_stat_activity``."""

import asyncio

import asyncpg

from tests.support.eventually import PATIENCE_SECONDS

_OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"


async def backends(connection: asyncpg.Connection, condition: str = "true") -> list[int]:
    """List the process ids of other sessions that meet a condition on ``pg_stat_activity``."""
    # Inside a transaction the server would return what it returned the first time.
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    rows = await connection.fetch(
        f"SELECT pid FROM pg_stat_activity WHERE {_OTHERS} AND {condition} ORDER BY pid"
    )
    return [row["pid"] for row in rows]


async def until_backends(connection: asyncpg.Connection, condition: str, count: int) -> None:
    """Wait until exactly so many other sessions meet the condition; fail when they never do."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(await backends(connection, condition)) != count:
            await asyncio.sleep(0.005)


async def terminate_backends(connection: asyncpg.Connection) -> int:
    """End every other session of the database, wait until all are gone, and return how many."""
    ended = await backends(connection)
    await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS ended (pid)", ended
    )
    # Those who lost theirs may have new ones by then.
    await until_backends(connection, f"pid = ANY ('{{{', '.join(map(str, ended))}}}')", 0)
    return len(ended)
