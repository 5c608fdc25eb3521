"""Circular-dependency alerts in the system of record."""

import json
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from server.domain.alerts import MOST_MEMBERS, Alert, AlertEvent, AlertFilter, EventKey, EventPage
from server.domain.errors import AlertAlreadyExistsError, AlertNotFoundError, AlertResolvedError
from server.domain.ports import Page, PageKey, Written, cut_page
from server.domain.writes import WriteCounts
from server.store import query
from server.store.database import Database
from server.store.pool import Connection

_MOST_MEMBERS_OF_PAGE = 100_000

_GET = query("alert_get")
_PAGE = query("alerts_page")
_PAGE_OF_SERVICE = query("alerts_page_of_service")
_EVENTS = query("alert_events_page")
_FIND = query("alert_find")
_CREATE = query("alert_create")
_ACKNOWLEDGE = query("alert_acknowledge")
_RESOLVE = query("alert_resolve")


class AlertRepository:
    """``ports.AlertStore`` on PostgreSQL; ``RetryableError`` when the database is away or busy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: UUID) -> Alert:
        """Return the alert, or raise ``AlertNotFoundError``."""
        return await self._database.read(lambda connection: _get(connection, key))

    async def page(self, chosen: AlertFilter, size: int, after: PageKey | None) -> Page[Alert]:
        """
        See ``AlertStore.page``.

        A page ends early once its alerts have enough members for an answer, so it costs O(100,000)
        even if many components are large.
        """
        detected_at, last_id = after or (None, None)
        arguments = [detected_at, last_id, chosen.status, size + 1, MOST_MEMBERS, _MOST_MEMBERS_OF_PAGE]
        if chosen.service_id is None:
            records = await self._database.fetch(_PAGE, *arguments)
        else:
            records = await self._database.fetch(_PAGE_OF_SERVICE, *arguments, chosen.service_id)
        alerts = [_alert(record) for record in records]
        whole = sum(record["names"] is not None for record in records)
        return cut_page(alerts, min(size, whole), lambda alert: PageKey(alert.detected_at, alert.id))

    async def events(self, key: UUID, size: int, after: EventKey | None) -> EventPage:
        """
        See ``AlertStore.events``.

        A writer of events locks the row of their alert, so no event appears before one already
        shown.
        """
        records = await self._database.fetch(_EVENTS, key, 0 if after is None else after.id, size + 1)
        if not records:
            raise _missing(key)
        events = tuple(
            AlertEvent(*record)._replace(cycle_path=_path(record))
            for record in records[:size]
            if record["id"] is not None
        )
        return EventPage(events, EventKey(events[-1].id) if len(records) > size else None)

    async def find(self, cycle_path: Sequence[str]) -> Alert | None:
        """See ``AlertStore.find``. O(log alerts + cycle)."""
        path = json.dumps(list(cycle_path))

        async def look(connection: Connection) -> Alert | None:
            key = await connection.fetchval(_FIND, path)
            return None if key is None else await _get(connection, key)

        return await self._database.read(look)

    async def create(self, cycle_path: Sequence[str]) -> Written[Alert]:
        """See ``AlertStore.create``."""

        async def insert(connection: Connection) -> Alert:
            path = json.dumps(list(cycle_path))
            key = await connection.fetchval(_CREATE, path)
            if key is None:
                raise _exists(await connection.fetchval(_FIND, path))
            return await _get(connection, key)

        return await self._database.write(insert, lambda _: WriteCounts(alerts_created=1))

    async def acknowledge(self, key: UUID, acknowledged_by: str) -> Written[Alert]:
        """See ``AlertStore.acknowledge``; ``AlertNotFoundError`` when there is none."""
        return await self._move(_ACKNOWLEDGE, key, acknowledged_by)

    async def resolve(self, key: UUID, resolution_notes: str) -> Written[Alert]:
        """See ``AlertStore.resolve``; ``AlertNotFoundError`` when there is none."""
        return await self._move(_RESOLVE, key, resolution_notes)

    async def _move(self, statement: str, key: UUID, remark: str) -> Written[Alert]:
        async def move(connection: Connection) -> Alert:
            moved = await connection.fetchval(statement, key, remark)
            alert = await _get(connection, key)
            if moved is None:
                # It was resolved when the statement ran; detection may have reopened it since.
                raise AlertResolvedError(
                    f"the alert {key} is resolved and can't be changed any more", id=str(key)
                )
            return alert

        return await self._database.write(move, lambda _: WriteCounts(alerts_updated=1))


async def _get(connection: Connection, key: UUID) -> Alert:
    record = await connection.fetchrow(_GET, key, MOST_MEMBERS)
    if record is None:
        raise _missing(key)
    return _alert(record)


def _alert(record: asyncpg.Record) -> Alert:
    return Alert(*record)._replace(cycle_path=_path(record), members=tuple(record["names"] or ()))


def _path(record: asyncpg.Record) -> tuple[str, ...]:
    return tuple(json.loads(record["cycle_path"]))


def _exists(key: UUID | None) -> AlertAlreadyExistsError:
    # None: it was removed between the two statements.
    named = {} if key is None else {"alert_id": str(key)}
    return AlertAlreadyExistsError(
        "this cycle has an alert already, maybe written from another of its services", violations=(), **named
    )


def _missing(key: UUID) -> AlertNotFoundError:
    return AlertNotFoundError(f"no alert has the id {key}", id=str(key))
