"""Random transactions: their statements, isolation, length and end."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Literal

import asyncpg

from tests.support.random_statements import WEIGHTS, Session, Statement

Isolation = Literal["read_committed", "repeatable_read", "serializable"]
ISOLATIONS: tuple[Isolation, ...] = (
    *("read_committed",) * 8,
    "repeatable_read",
    "serializable",
)
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class _UndoneError(Exception):
    """Rolls a transaction or a savepoint back on purpose."""


class RandomWriter:
    """Writes until stopped, whatever happens to the database; ``pause`` (seconds) after each."""

    def __init__(
        self,
        url: str,
        dice: Random,
        counts: Counter[str],
        pause: float = 0.01,
        weights: Mapping[Statement, int] = WEIGHTS,
    ) -> None:
        self._url = url
        self._dice = dice
        self._counts = counts
        self._pause = pause
        self._weights = weights

    async def run(self, stop: asyncio.Event) -> None:
        """Write; errors are counted by their names, a lost connection is made again."""
        while not stop.is_set():
            try:
                connection = await connect(self._url)
            except LOST as error:
                self._counts[type(error).__name__] += 1
                await asyncio.sleep(0.05)
                continue
            try:
                await self._write(Session(connection, self._dice, self._counts), stop)
            finally:
                connection.terminate()

    async def _write(self, session: Session, stop: asyncio.Event) -> None:
        while not stop.is_set() and not session.connection.is_closed():
            await session.hold(self._pause)
            try:
                await self._transaction(session)
            except _UndoneError:
                self._counts["rollbacks"] += 1
            except LOST as error:
                self._counts[type(error).__name__] += 1
            else:
                self._counts["commits"] += 1

    async def _transaction(self, session: Session) -> None:
        dice = self._dice
        async with session.connection.transaction(isolation=dice.choice(ISOLATIONS)):
            if dice.random() < 0.3:
                # An early transaction id, written with late.
                await session.connection.execute("SELECT pg_current_xact_id()")
                await session.hold(0.1)
            for _ in range(dice.choice((1, 1, 2, 3, 5))):
                await self._statement(session)
                if dice.random() < 0.4:
                    await session.hold(0.06)
            if dice.random() < 0.15:
                raise _UndoneError

    async def _statement(self, session: Session) -> None:
        (statement,) = self._dice.choices(tuple(self._weights), tuple(self._weights.values()))
        self._counts[statement.__name__] += 1
        if self._dice.random() > 0.2:
            await statement(session)
            return
        with suppress(_UndoneError):
            async with session.connection.transaction():  # a savepoint
                await statement(session)
                if self._dice.random() < 0.6:
                    self._counts["savepoints undone"] += 1
                    raise _UndoneError


async def connect(url: str) -> asyncpg.Connection:
    """Connect as a writer; with early detection of deadlocks where the user may set it."""
    connection = await asyncpg.connect(url, timeout=5, command_timeout=30)
    with suppress(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SET deadlock_timeout = '30ms'")
    return connection
