"""Alerts as detection reads and writes them, on the connection that holds its lock."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from server.concurrency import CooperativeYield
from server.domain.alerts import MOST_MEMBERS
from server.domain.detection import (
    AlertChange,
    CyclePath,
    KeptAlert,
    LedgerConflictError,
    Membership,
    smallest_first,
)
from server.store import query
from server.store.single_runner import DETECTION, DID, RunnerConnection

T = TypeVar("T")

_EVENTS_WRITTEN = query("detection_events_written")
_TRACKED = query("detection_tracked")
_TRACKED_MEMBERS = query("detection_tracked_members")
_LOCK = query("detection_lock")
_MEMBERS = query("detection_members")
_OF_CYCLES = query("detection_of_cycles")
_OF_MEMBERS = query("detection_of_members")
_SET_ASIDE = query("detection_set_aside")
_REOPEN = query("detection_reopen")
_UPDATE = query("detection_update")
_OPEN = query("detection_open")
_DROP_MEMBERS = query("detection_drop_members")
_KEEP_MEMBERS = query("detection_keep_members")
_TRIM_MEMBERS = query("detection_trim_members")
_ADD_MEMBERS = query("detection_add_members")
_EVENTS = query("detection_events")
# Rows that are read, or written as arguments, in one go on the event loop: a millisecond.
_BATCH = 250
# Rows that one statement deletes: some ten milliseconds.
_TRIM = 5_000
_CONFLICTS = (asyncpg.UniqueViolationError, asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError)


class DetectionLedger:
    """``domain.detection.AlertLedger`` on PostgreSQL; keeps an alert's first ``most_members``."""

    def __init__(self, connection: RunnerConnection, most_members: int = MOST_MEMBERS) -> None:
        self._connection = connection
        self._most_members = most_members

    async def tracked(self) -> list[KeptAlert]:
        """See ``AlertLedger.tracked``."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            found = [self._alert(row) async for row in self._connection.cursor(_TRACKED, prefetch=_BATCH)]
            return await self._with_members(found, _TRACKED_MEMBERS)

    @asynccontextmanager
    async def round(self) -> AsyncIterator[None]:
        """See ``AlertLedger.round``."""
        try:
            async with self._connection.transaction():
                await self._connection.execute(_EVENTS_WRITTEN)
                yield
        except _CONFLICTS as error:
            raise LedgerConflictError(type(error).__name__) from error

    async def trim(self) -> bool:
        """See ``AlertLedger.trim``. O(5,000)."""
        return bool(await self._connection.fetchval(_TRIM_MEMBERS, self._most_members, _TRIM))

    async def note_caught_up(self) -> None:
        """See ``AlertLedger.note_caught_up``."""
        await self._connection.execute(DID, DETECTION)

    async def lock(self, alerts: Sequence[KeptAlert]) -> list[KeptAlert]:
        """See ``AlertLedger.lock``."""
        known = {alert.id: alert for alert in alerts}
        return [
            replace(alert, members=known[alert.id].members, unlisted=known[alert.id].unlisted)
            for alert in await self._locked(list(known))
        ]

    async def candidates(
        self, cycles: Sequence[CyclePath], memberships: Sequence[Membership]
    ) -> list[KeptAlert]:
        """See ``AlertLedger.candidates``."""
        found: set[UUID] = set()
        for batch in _batches(cycles):
            found.update(
                row["id"] for row in await self._connection.fetch(_OF_CYCLES, list(map(json.dumps, batch)))
            )
        for some in _batches(memberships):
            columns = (
                [membership.size for membership in some],
                [membership.names[0] for membership in some],
                await _digests(some),
                self._most_members,
            )
            found.update(row["id"] for row in await self._connection.fetch(_OF_MEMBERS, *columns))
        return await self._with_members(await self._locked(sorted(found)), _MEMBERS, sorted(found))

    async def write(self, changes: Sequence[AlertChange]) -> None:
        """See ``AlertLedger.write``."""
        for statement, columns in await asyncio.to_thread(_statements, changes):
            await self._connection.execute(statement, *columns)

    async def _locked(self, keys: Sequence[UUID]) -> list[KeptAlert]:
        return [
            self._alert(row) for batch in _batches(keys) for row in await self._connection.fetch(_LOCK, batch)
        ]

    async def _with_members(
        self, alerts: list[KeptAlert], statement: str, *arguments: Any
    ) -> list[KeptAlert]:
        if not alerts:
            return alerts
        members: dict[UUID, list[str]] = {alert.id: [] for alert in alerts}
        arguments = (self._most_members, *arguments)
        async for alert_id, name in self._connection.cursor(statement, *arguments, prefetch=_BATCH):
            # An alert that has just been deleted is not among them.
            if alert_id in members:
                members[alert_id].append(name)
        return [replace(alert, members=tuple(members[alert.id])) for alert in alerts]

    def _alert(self, row: asyncpg.Record) -> KeptAlert:
        path, unlisted = tuple(json.loads(row["cycle_path"])), max(0, row["size"] - self._most_members)
        return KeptAlert(**(dict(row) | {"cycle_path": path, "unlisted": unlisted}))


def _statements(changes: Sequence[AlertChange]) -> list[tuple[str, list[list[Any]]]]:
    """List what to run, in order, with arguments column by column. O(changes + members)."""
    updated = (_row(change.after) for change in changes if change.before is not None)
    opened = (_row(change.after) for change in changes if change.before is None)
    rows_of: tuple[tuple[str, Iterable[tuple[Any, ...]]], ...] = (
        (_SET_ASIDE, ((key,) for key in _set_aside(changes))),
        (_REOPEN, ((key,) for key in _decided_otherwise(changes))),
        (_UPDATE, updated),
        (_OPEN, opened),
        (_DROP_MEMBERS, _pairs(changes, gone=True)),
        (_KEEP_MEMBERS, _shrunk(changes)),
        (_ADD_MEMBERS, _pairs(changes, gone=False)),
        (_EVENTS, _events(changes)),
    )
    return [
        (statement, [list(column) for column in zip(*batch, strict=True)])
        for statement, rows in rows_of
        for batch in _batches(rows)
    ]


def _row(alert: KeptAlert) -> tuple[Any, ...]:
    return (
        alert.id,
        json.dumps(alert.cycle_path),
        alert.status,
        alert.acknowledged_by,
        alert.resolution_notes,
        alert.size,
        alert.detected,
        alert.is_present,
    )


def _set_aside(changes: Sequence[AlertChange]) -> list[UUID]:
    """List the alerts that get another cycle while a third alert gets theirs in the same round."""
    owners = {change.after.cycle_path: change.after.id for change in changes}
    return [
        change.before.id
        for change in changes
        if change.before is not None
        and owners.get(smallest_first(change.before.cycle_path), change.before.id) != change.before.id
    ]


def _decided_otherwise(changes: Sequence[AlertChange]) -> list[UUID]:
    """
    List alerts that stay resolved by a person's decision on another alert.

    They have to be open in between.
    """
    return [
        change.before.id
        for change in changes
        if change.before is not None
        and not (change.before.is_live or change.after.is_live)
        and (change.before.acknowledged_by, change.before.resolution_notes)
        != (change.after.acknowledged_by, change.after.resolution_notes)
    ]


def _pairs(changes: Sequence[AlertChange], *, gone: bool) -> Iterator[tuple[UUID, str]]:
    for change in changes:
        before = set(change.before.members if change.before is not None else ())
        after = set(change.after.members)
        for name in sorted(before - after if gone else after - before):
            yield change.after.id, name


def _shrunk(changes: Sequence[AlertChange]) -> Iterator[tuple[UUID, str]]:
    """List the members of alerts that had too many: former versions may have written others."""
    for change in changes:
        if change.before is not None and change.before.unlisted and not change.after.unlisted:
            yield change.after.id, json.dumps(change.after.members)


def _events(changes: Sequence[AlertChange]) -> Iterator[tuple[Any, ...]]:
    for change in changes:
        after = change.after
        path = json.dumps(after.cycle_path)
        for kind, note in change.events:
            yield after.id, kind, note, after.status, path, after.size


async def _digests(memberships: Sequence[Membership]) -> list[bytes]:
    yielding, digests = CooperativeYield(), list[bytes]()
    for membership in memberships:
        digest = sha256()
        for name in membership.names:
            digest.update(sha256(name.encode()).digest())
            await yielding.checkpoint()
        digests.append(digest.digest())
    return digests


def _batches(rows: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
