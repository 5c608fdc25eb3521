"""Circular-dependency alerts in the system of record."""

import json
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from server.domain.alerts import Alert, AlertStatus
from server.domain.errors import AlertAlreadyExistsError, AlertNotFoundError, AlertResolvedError
from server.domain.paging import Page, PageKey
from server.domain.ports import Written
from server.store.database import Database
from server.store.paging import cut_page
from server.store.pool import Connection
from server.store.queries import query

_GET = query("alert_get")
_PAGE = query("alerts_page")
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
        record = await self._database.fetchrow(_GET, key)
        if record is None:
            raise _missing(key)
        return _alert(record)

    async def page(self, status: AlertStatus | None, size: int, after: PageKey | None) -> Page[Alert]:
        """At most ``size`` alerts, latest detected first: the page key's ``created_at`` is the time of detection."""
        detected_at, last_id = after or (None, None)
        records = await self._database.fetch(_PAGE, detected_at, last_id, status, size + 1)
        alerts = [_alert(record) for record in records]
        return cut_page(alerts, size, lambda alert: PageKey(alert.detected_at, alert.id))

    async def find(self, cycle_path: Sequence[str]) -> Alert | None:
        """Return the alert of this cycle, whichever service it is written from, if there is one. O(log alerts + cycle)."""
        record = await self._database.fetchrow(_FIND, json.dumps(list(cycle_path)))
        return None if record is None else _alert(record)

    async def create(self, cycle_path: Sequence[str]) -> Written[Alert]:
        """
        Open one; ``AlertAlreadyExistsError`` when the cycle has one, whichever service it is written from.

        ``InvalidInputError`` unless the cycle names at least two services, none of them twice.
        """

        async def insert(connection: Connection) -> Alert:
            path = json.dumps(list(cycle_path))
            record = await connection.fetchrow(_CREATE, path)
            if record is None:
                raise _exists(await connection.fetchrow(_FIND, path))
            return _alert(record)

        return await self._database.write(insert)

    async def acknowledge(self, key: UUID, acknowledged_by: str) -> Written[Alert]:
        """Say who looks after it; ``AlertResolvedError`` once resolved, ``AlertNotFoundError`` when there is none."""
        return await self._move(_ACKNOWLEDGE, key, acknowledged_by)

    async def resolve(self, key: UUID, resolution_notes: str) -> Written[Alert]:
        """Close it; ``AlertResolvedError`` when that was done before, ``AlertNotFoundError`` when there is none."""
        return await self._move(_RESOLVE, key, resolution_notes)

    async def _move(self, statement: str, key: UUID, remark: str) -> Written[Alert]:
        async def move(connection: Connection) -> Alert:
            record = await connection.fetchrow(statement, key, remark)
            if record is not None:
                return _alert(record)
            # Resolved is for good, so looking afterwards can't tell the wrong story.
            if await connection.fetchrow(_GET, key) is None:
                raise _missing(key)
            raise AlertResolvedError(
                f"the alert {key} is resolved and can't be changed any more", id=str(key)
            )

        return await self._database.write(move)


def _alert(record: asyncpg.Record) -> Alert:
    key, cycle_path, *rest = record
    return Alert(key, tuple(json.loads(cycle_path)), *rest)


def _exists(record: asyncpg.Record | None) -> AlertAlreadyExistsError:
    # None: somebody removed it between the two statements.
    named = {} if record is None else {"alert_id": str(record["id"])}
    return AlertAlreadyExistsError(
        "this cycle has an alert already, maybe written from another of its services", violations=(), **named
    )


def _missing(key: UUID) -> AlertNotFoundError:
    return AlertNotFoundError(f"no alert has the id {key}", id=str(key))
