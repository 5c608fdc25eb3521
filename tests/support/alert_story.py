"""A database that one replica watches over, and its alerts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from server.store.alerts import AlertRepository
from server.store.database import Database
from tests.support.detecting import (
    Keeper,
    StoredAlert,
    add_services,
    alerts_are_caught_up,
    detecting,
    stored_alerts,
    stored_events,
)

NAMES = tuple("abcdefgh")


class Story:
    """
    What happens to the graph and what people do to its alerts.

    ``connection`` edits the graph, ``repository`` acts for people.
    """

    def __init__(self, keeper: Keeper, connection: asyncpg.Connection, repository: AlertRepository) -> None:
        self.keeper = keeper
        self.connection = connection
        self.repository = repository

    async def alerts(self) -> list[StoredAlert]:
        """All alerts once they are level."""
        await alerts_are_caught_up([self.keeper])
        return await stored_alerts(self.connection)

    async def alert(self) -> StoredAlert:
        """The only alert, once it is level."""
        (alert,) = await self.alerts()
        return alert

    async def history(self, alert: UUID) -> list[str]:
        """The kinds of an alert's events."""
        return [event.kind for event in await stored_events(self.connection) if event.alert_id == alert]

    async def last_note(self) -> str:
        """What the last event says."""
        return (await stored_events(self.connection))[-1].note


@asynccontextmanager
async def begun_story(url: str, connection: asyncpg.Connection) -> AsyncIterator[Story]:
    """Let a story begin with services and nothing else."""
    await add_services(connection, *NAMES)
    async with Database.open(url) as database, detecting(url) as keeper:
        await alerts_are_caught_up([keeper])
        yield Story(keeper, connection, AlertRepository(database))
