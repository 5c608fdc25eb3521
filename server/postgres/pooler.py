"""Whether a connection pooler is before the server, and whether it shares sessions."""

from typing import TypeAlias

import asyncpg

from server.postgres.session import query

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_BACKEND_PID = query("backend_pid")
_ROUNDS = 3


async def is_pooled(connection: Connection) -> bool:
    """Whether the session is not the one announced at its start, a number that poolers invent."""
    return await _session_of(connection) != connection.get_server_pid()


async def shares_sessions(first: Connection, second: Connection) -> bool:
    """
    Whether two connections share a session, or one connection has several.

    While the second connection has a transaction open, a pooler that shares has given it the
    session that the first used last, or gives the first another. Other clients may interfere, so
    there are three rounds. A pooler that does not share is never found to.
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
    """Begin a transaction; False = a pooler that pools by statement refuses that."""
    try:
        await connection.execute("BEGIN")
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if isinstance(error.__cause__ or error, asyncpg.ProtocolViolationError):
            return False
        raise
    return True


async def _session_of(connection: Connection) -> int:
    # Not a prepared statement, which could be prepared in one session and run in another.
    arrived: list[bytes] = []

    async def take(piece: bytes) -> None:
        arrived.append(piece)

    await connection.copy_from_query(_BACKEND_PID, output=take)
    return int(b"".join(arrived))
