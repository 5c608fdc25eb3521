"""Revisions for those who write past the server."""

from typing import TYPE_CHECKING, TypeAlias

from server.domain.revision import Revision
from server.feed import statements

if TYPE_CHECKING:
    import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def revision_now(connection: Connection) -> Revision:
    """Return a revision that a replica holds once it has seen everything committed until now. Takes a transaction id."""
    return Revision.of(await connection.fetchval(statements.REVISION))
