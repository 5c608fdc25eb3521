"""Checks that the history is kept, and repairs its triggers; for ``depgraph doctor``."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TypeAlias

import asyncpg

from server.postgres import Finding
from server.store import query

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_MISSING, _INSTALL = query("history_missing_triggers"), query("history_install_triggers")
_STATE = query("history_state")
_LOCK_TIMEOUT_MS = 10_000
_LOST = "times before that can't be asked for any more"


async def examine(connection: Connection) -> list[Finding]:
    """Look at the triggers and at how far history goes back; lack of a privilege becomes a note."""
    try:
        missing = await connection.fetch(_MISSING)
        state = await connection.fetchrow(_STATE)
    except asyncpg.PostgresError as error:
        advice = "check as the owner of the tables, and see what 'depgraph migrate status' says"
        return [Finding("history", "note", f"could not be checked: {error}", advice)]
    return [*_triggers(missing), *_extent(state)]


async def repair(connection: Connection) -> tuple[str, ...]:
    """
    Reinstall the history triggers, in one transaction; returns a sentence for each repair.

    Waits at most ten seconds for writers, then raises ``asyncpg.LockNotAvailableError``. Raises
    ``asyncpg.InsufficientPrivilegeError`` for all but the owner of the tables.
    """
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
        done = await connection.fetch(_INSTALL)
    return tuple(f"{row['deed']} {row['table_name']}.{row['trigger_name']}" for row in done)


def _triggers(missing: list[asyncpg.Record]) -> Iterator[Finding]:
    for row in missing:
        yield Finding(
            "history",
            "bad",
            f"{row['table_name']}.{row['trigger_name']} is missing, disabled or altered: no history is kept",
            f"run 'depgraph doctor --repair': it puts triggers back; history begins anew, {_LOST}",
        )


def _extent(state: asyncpg.Record | None) -> Iterator[Finding]:
    if state is None or not state["is_on"]:
        yield Finding("history", "note", "switched off", "fine if it was on purpose (--keep-history 0)")
        return
    size = (
        f"about {state['entries']:,} changes and {state['marks']:,} marks in {state['bytes'] / 1e6:,.1f} MB"
    )
    if not state["marks"]:
        yield Finding("history", "good", "begins with the first mark, which a server makes")
    elif state["oldest"] is None:
        yield Finding(
            "history", "note", f"begins anew with the next mark; {size}", f"see docs/history.md; {_LOST}"
        )
    else:
        age = timedelta(seconds=round(state["oldest"].total_seconds()))
        yield Finding("history", "good", f"goes back {age}: {size}")
