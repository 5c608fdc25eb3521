"""Full copies of the tables at marks, and what history says of the same rows, read by plain SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

Row = tuple[Any, ...]
"""The structural columns of a row, in the order of ``COLUMNS``."""
Connection = asyncpg.Connection

TABLES = ("services", "service_dependencies", "service_aliases")
CHANGES = ("service_changes", "dependency_changes", "alias_changes")
COLUMNS = (
    ("service_id", "metadata", "criticality", "team", "discovered", "kind", "created_at"),
    (
        *("source_service_id", "target_service_id", "communication_mode", "criticality", "protocol"),
        *("timeout_ms", "retry_config", "discovery_source", "confidence_score", "is_stale", "created_at"),
    ),
    ("alias", "service_id", "created_at"),
)
# As texts, so that 1 and 1.0 differ.
_AS_TEXT = {"metadata", "retry_config"}
LOCK_TABLES = (
    "LOCK TABLE public.services, public.service_dependencies, public.service_aliases IN ACCESS SHARE MODE"
)
_REPORTED = "COALESCE(reported_confidence, confidence_score)"


class Rows(NamedTuple):
    """The rows of the three tables by key."""

    services: dict[UUID, Row]
    dependencies: dict[UUID, Row]
    aliases: dict[UUID, Row]


@dataclass(frozen=True, slots=True)
class Copy:
    """A mark, and all rows that its snapshot sees."""

    at: datetime
    lineage: int
    snapshot: str
    rows: Rows

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(map(len, self.rows))


async def take_copy(connection: Connection) -> Copy | None:
    """
    Mark a moment, and copy the tables as of that; None = nothing to mark, or no lineage is ready.

    In REPEATABLE READ the mark has the snapshot of the copy. Locks come before it: that of those
    who mark, so that snapshots ascend with the times of marks, and those of the tables, which
    TRUNCATE would empty for older snapshots, too.
    """
    await connection.execute("SELECT pg_advisory_lock(7203411, 10)")
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(LOCK_TABLES)
            if await connection.fetchval("SELECT depgraph_history.mark()") != "marked":
                return None
            mark = await connection.fetchrow(
                """SELECT at, lineage, snapshot::text, snapshot::text = pg_current_snapshot()::text AS is_ours
                FROM depgraph_history.marks ORDER BY at DESC LIMIT 1"""
            )
            assert mark is not None
            assert mark["is_ours"], "the mark has another snapshot than the copy"
            return Copy(mark["at"], mark["lineage"], mark["snapshot"], await fetch_rows(connection))
    finally:
        await connection.execute("SELECT pg_advisory_unlock(7203411, 10)")


async def fetch_rows(connection: Connection) -> Rows:
    """Copy the tables as they are now, each in a statement: call it in one snapshot."""
    return Rows(
        *[
            _by_key(await connection.fetch(f"SELECT id, {_list(columns, _REPORTED)} FROM public.{table}"))
            for table, columns in zip(TABLES, COLUMNS, strict=True)
        ]
    )


def undone(rows: Rows, undo: tuple[Mapping[UUID, Row | None], ...]) -> Rows:
    """Replace rows by what they were; None = there was none."""
    return Rows(
        *[
            {key: row for key, row in {**present, **former}.items() if row is not None}
            for present, former in zip(rows, undo, strict=True)
        ]
    )


def differing(here: Rows, there: Rows) -> list[str]:
    """Describe every row that differs."""
    return [
        f"{table} {key}: {mine.get(key)} != {other.get(key)}"
        for table, mine, other in zip(TABLES, here, there, strict=True)
        for key in mine.keys() | other.keys()
        if mine.get(key) != other.get(key)
    ]


class Reading(NamedTuple):
    """How entries are chosen: SQL of those that count, and of the order whose first one wins."""

    counts: str
    order: str


EXACT = Reading("NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot)", "seq")
BY_TIME = Reading("at > $2::timestamptz", "seq")
"""Right where nothing was in flight at the mark."""
WRONG_READINGS = {
    "by time": BY_TIME,
    "by transaction id": Reading("xid >= pg_snapshot_xmax($1::text::pg_snapshot)", "seq"),
    "the last entry": Reading(EXACT.counts, "seq DESC"),
    "the first by time": Reading(EXACT.counts, "at, seq"),
}


async def as_of(connection: Connection, mark: Copy, reading: Reading = EXACT) -> Rows:
    """Read the rows as of a mark by plain SQL, whether its lineage holds or not."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(LOCK_TABLES)
        undo = [
            {
                record["id"]: tuple(record)[2:] if record["existed"] else None
                for record in await connection.fetch(
                    f"""SELECT DISTINCT ON (id) id, existed, {_list(columns, "confidence_score")}
                    FROM depgraph_history.{changes}
                    WHERE {reading.counts} AND $1::text <> '' AND $2::timestamptz IS NOT NULL
                    ORDER BY id, {reading.order}""",
                    mark.snapshot,
                    mark.at,
                )
            }
            for changes, columns in zip(CHANGES, COLUMNS, strict=True)
        ]
        return undone(await fetch_rows(connection), tuple(undo))


async def holds(connection: Connection, mark: Copy) -> bool:
    """Tell whether a mark was not pruned, and its lineage goes on to this moment."""
    return bool(
        await connection.fetchval(
            """SELECT depgraph_history.holding_lineage() = $1
                AND EXISTS (SELECT FROM depgraph_history.marks WHERE at = $2)""",
            mark.lineage,
            mark.at,
        )
    )


def _list(columns: tuple[str, ...], confidence: str) -> str:
    written = {"confidence_score": confidence} | {name: f"{name}::text" for name in _AS_TEXT}
    return ", ".join(written.get(name, name) for name in columns)


def _by_key(records: list[asyncpg.Record]) -> dict[UUID, Row]:
    return {record["id"]: tuple(record)[1:] for record in records}
