"""Marks, and changes of the graph after them, for a server in this process."""

import asyncio
from typing import TYPE_CHECKING

from server.app import Application
from server.domain.live_graph import FullyConsistent
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.following import PATIENCE

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]


async def mark(connection: "Connection") -> str:
    """Mark this moment; returns the time of the mark as ``--as-of`` takes it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # It waits for transactions that began before history did.
        while await connection.fetchval("SELECT depgraph_history.mark()") not in {"marked", "unchanged"}:
            await asyncio.sleep(0.02)
    moment = await connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
    return str(moment.isoformat())


async def change(
    connection: "Connection", application: Application, statements: str, who: str = "ann"
) -> None:
    """Change the graph, and wait for the server to hold that."""
    async with connection.transaction():
        await connection.execute("SELECT set_config('depgraph.principal', $1, true)", who)
        await connection.execute(statements)
    await application.replica.at(FullyConsistent(), PATIENCE)
