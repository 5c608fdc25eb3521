"""Marks, and changes of the graph after them, for a server in this process."""

from typing import TYPE_CHECKING

from server.app import Application
from server.domain.live_graph import FullyConsistent
from tests.support.following import PATIENCE

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]


async def mark(connection: "Connection") -> str:
    """Mark this moment; returns its time as ``--as-of`` takes it."""
    await connection.execute("SELECT depgraph_history.mark()")
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
