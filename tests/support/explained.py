"""How many rows the plans of writes handle: a measure of their work that is no time."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from server.domain.ports import Written
from server.domain.writes import WriteCounts
from server.store.database import Database
from server.store.pool import Connection

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")
_READS = ("fetch", "fetchrow", "fetchval")


class Explained:
    """
    A connection, in a transaction, that also explains each statement with a result before it runs.

    ``handled`` = the most rows that one step of a plan took in or gave out, all loops together.
    """

    def __init__(self, connection: "Connection | asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.handled = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in _READS:
            return method

        async def explained(statement: str, *arguments: Any) -> Any:
            await self._connection.execute("SAVEPOINT explained")
            plan = await self._connection.fetchval(
                f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", *arguments
            )
            await self._connection.execute("ROLLBACK TO explained")
            self.handled = max(self.handled, *_handled(json.loads(plan)[0]["Plan"]))
            return await method(statement, *arguments)

        return explained


class ExplainedDatabase:
    """A database whose writes are explained; ``handled`` as for ``Explained``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.handled = 0.0

    async def write(
        self, work: Callable[[Connection], Awaitable[T]], counted: Callable[[T], WriteCounts]
    ) -> Written[T]:
        """Do as ``Database.write``."""

        async def watched(connection: Connection) -> T:
            explained = Explained(connection)
            value = await work(cast("Connection", explained))
            self.handled = max(self.handled, explained.handled)
            return value

        return await self._database.write(watched, counted)


def _handled(plan: dict[str, Any]) -> Iterator[float]:
    rows = plan["Actual Rows"] + sum(value for name, value in plan.items() if name.startswith("Rows Removed"))
    yield rows * plan["Actual Loops"]
    for below in plan.get("Plans", ()):
        yield from _handled(below)
