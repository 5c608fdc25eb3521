"""Whether a connection pooler stands before the server, and whether it shares sessions between its clients."""

from typing import TypeAlias

import asyncpg

from server.postgres.session import query

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_BACKEND_PID = query("backend_pid")
_ROUNDS = 3


async def is_pooled(connection: Connection) -> bool:
    """Whether the session is another one than the connection was told when it began: a pooler makes that number up."""
    return await _session_of(connection) != connection.get_server_pid()


async def shares_sessions(first: Connection, second: Connection) -> bool:
    """
    Whether transactions of two connections meet in one session, or those of one connection in several.

    While the second has a transaction open, a pooler that shares has given it the session that the first has just used, or takes
    another for the first. Other clients may come in between, so there are three rounds; a pooler that does not share is never suspected.
    """
    if await _session_of(second) == await _session_of(first):
        return True
    for _ in range(_ROUNDS):
        before = await _session_of(first)
        if not await _begin(second):
            return True
        if await _session_of(second) == before or await _session_of(first) != before:
            return True
        await second.execute("ROLLBACK")
    return False


async def _begin(connection: Connection) -> bool:
    """Begin a transaction; False = a pooler that gives every statement another session refuses that, and hangs up."""
    try:
        await connection.execute("BEGIN")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if isinstance(error.__cause__ or error, asyncpg.ProtocolViolationError):
            return False
        raise
    return True


async def _session_of(connection: Connection) -> int:
    # Not a prepared statement: what prepares it and what runs it could meet different sessions.
    arrived: list[bytes] = []

    async def take(piece: bytes) -> None:
        arrived.append(piece)

    await connection.copy_from_query(_BACKEND_PID, output=take)
    return int(b"".join(arrived))
