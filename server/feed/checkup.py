"""Checks that a database meets the feed's needs, and repairs triggers; for ``depgraph doctor``."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg

from server.config import FeedSettings
from server.feed import statements
from server.postgres import Finding

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Check: TypeAlias = Callable[[Connection], Awaitable[Iterable[Finding]]]

LONG_TRANSACTION = timedelta(minutes=5)
LONG_WITHOUT_PRUNING = timedelta(minutes=10)
MOST_SHOWN = 5
_FIRES = {
    "D": "is disabled",
    "O": "does not fire for replicated writes",
    "R": "fires for replicated writes only",
}
_LOCK_TIMEOUT_MS = 10_000


async def examine(connection: Connection) -> AsyncIterator[Finding]:
    """Run every check; one that fails, perhaps for lack of a privilege, becomes a note."""
    for check, look in _CHECKS.items():
        try:
            findings = await look(connection)
        except asyncpg.PostgresError as error:
            advice = "check as the owner of the tables, and see what 'depgraph migrate status' says"
            findings = [Finding(check, "note", f"could not be checked: {error}", advice)]
        for finding in findings:
            yield finding


async def repair(connection: Connection) -> tuple[str, ...]:
    """
    Reinstall the feed triggers, in one transaction; returns a sentence for each repair.

    Waits at most ten seconds for writers, then raises ``asyncpg.LockNotAvailableError``. Raises
    ``asyncpg.InsufficientPrivilegeError`` for all but the owner of the tables.
    """
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
        done = await connection.fetch(statements.INSTALL_TRIGGERS)
    return tuple(f"{row['deed']} {row['table_name']}.{row['trigger_name']}" for row in done)


async def _standby(connection: Connection) -> Iterable[Finding]:
    if await connection.fetchval(statements.IS_STANDBY):
        found = (
            "the server is a standby: its snapshots leave out running transactions, so it can't be followed"
        )
        return [Finding("standby", "bad", found, "give the URL of the primary")]
    return [Finding("standby", "good", "the server is a primary")]


async def _triggers(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.BROKEN_TRIGGERS)
    if not rows:
        return [Finding("triggers", "good", "every change is logged")]
    return [
        Finding(
            "triggers",
            "bad",
            f"{row['table_name']}.{row['trigger_name']} {_FIRES.get(row['fires'], 'is missing')}: "
            "changes may go unseen",
            "run 'depgraph doctor --repair': it puts triggers back and lets every replica read anew",
        )
        for row in rows
    ]


async def _notifications(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.NOTIFY_SWITCHED_OFF)
    if not rows:
        return [Finding("notifications", "good", "on: changes wake the replicas")]
    whose = ", ".join(sorted(row["rolname"] or "everyone" for row in rows))
    found = f"switched off for {whose}: what they write is seen at the next poll, a second later by default"
    return [
        Finding("notifications", "note", found, "fine if it was on purpose (ALTER … SET depgraph.notify)")
    ]


async def _log(connection: Connection) -> Iterable[Finding]:
    [row] = await connection.fetch(statements.LOG_STATE)
    count: int = await connection.fetchval(statements.LOG_ROWS)
    age = f", the oldest at least {_age(row['oldest'])} old" if row["oldest"] else ""
    found = f"about {count:,} changes in {row['bytes'] / 1e6:,.1f} MB{age}"
    bound = FeedSettings().max_log_rows
    if count > 2 * bound:
        advice = f"servers prune it to {bound:,} by default: see their logs, or start one"
        return [Finding("change log", "bad", found, advice)]
    return [Finding("change log", "good", found), *_pruning(row["last_pruned"])]


def _pruning(last: timedelta | None) -> Iterable[Finding]:
    if last is None:
        return [Finding("pruning", "good", "not pruned yet: a server does so half a minute after its start")]
    if last > LONG_WITHOUT_PRUNING:
        found = f"the log was last pruned {_age(last)} ago: it grows with every write"
        return [Finding("pruning", "note", found, "no server runs, or none can: start one, or see its log")]
    return [Finding("pruning", "good", f"last {_age(last)} ago")]


async def _open_transactions(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.LONG_TRANSACTIONS, LONG_TRANSACTION)
    if not rows:
        return [Finding("transactions", "good", f"none is open for longer than {_age(LONG_TRANSACTION)}")]
    return [
        Finding(
            "transactions",
            "bad",
            f"process {row['pid']} ({row['application_name'] or row['usename']}, {row['state']}) has had one "
            f"open for {_age(row['age'])}: its writes stay invisible, and dead rows pile up",
            f"end it in its program, or SELECT pg_terminate_backend({row['pid']})",
        )
        for row in rows[:MOST_SHOWN]
    ]


async def _prepared(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.PREPARED_TRANSACTIONS)
    if not rows:
        return [Finding("two-phase commit", "good", "nothing is left prepared")]
    return [
        Finding(
            "two-phase commit",
            "bad" if row["age"] > LONG_TRANSACTION else "note",
            f"{row['gid']!r} of {row['owner']} has been prepared for {_age(row['age'])} "
            "and is neither committed nor rolled back",
            "its transaction manager should end it; else COMMIT PREPARED or ROLLBACK PREPARED",
        )
        for row in rows[:MOST_SHOWN]
    ]


async def _orphans(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.ORPHANS, MOST_SHOWN)
    if not rows:
        return [Finding("orphans", "good", "every dependency has both its ends")]
    shown = "; ".join(f"{row['id']} {_lack(row)}" for row in rows)
    found = f"{rows[0]['total']:,} dependencies wait outside the graph: {shown}"
    return [
        Finding(
            "orphans", "bad", found, "a program wrote past the constraints: add the services, or delete these"
        )
    ]


async def _aliases(connection: Connection) -> Iterable[Finding]:
    rows = await connection.fetch(statements.ALIAS_FAULTS, MOST_SHOWN)
    if not rows:
        return [Finding("aliases", "good", "each stands for a service, and none is the name of one")]
    shown = "; ".join(
        f"{row['alias']!r} {'lacks its service' if row['lacks_service'] else 'is the name of a service'}"
        for row in rows
    )
    found = f"{rows[0]['total']:,} aliases mean nothing: {shown}"
    advice = "a program wrote past the triggers depgraph_names_...: delete these from service_aliases"
    return [Finding("aliases", "bad", found, advice)]


def _lack(row: Any) -> str:
    lacking = [end for end in ("source", "target") if row[f"lacks_{end}"]]
    return f"lacks its {' and '.join(lacking)}" if lacking else "calls itself"


def _age(length: timedelta) -> str:
    """Write a duration in one unit."""
    seconds = max(0, round(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_CHECKS: dict[str, Check] = {
    "standby": _standby,
    "triggers": _triggers,
    "notifications": _notifications,
    "change log": _log,
    "transactions": _open_transactions,
    "two-phase commit": _prepared,
    "orphans": _orphans,
    "aliases": _aliases,
}
