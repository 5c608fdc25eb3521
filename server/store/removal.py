"""
What goes away by itself: stale dependencies of a source, then discovered services left alone.

Of a service without any dependency nothing may be known but its name and kind: no metadata, no
team, no criticality but the default, no alias. What people wrote stays.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from server.domain.dependencies import DiscoverySource
from server.domain.writes import WriteCounts
from server.store import query
from server.store.single_runner import RunnerConnection

BATCH = 2_000
"""Rows in a transaction."""
PRINCIPAL, METHOD = "depgraph sweeper", "sweeper/Remove"
"""Who removes them, and how, in the account of writes."""

_LOOK = 50_000
_DUE_DEPENDENCIES, _DEPENDENCIES = query("removal_due_dependencies"), query("removal_dependencies")
_DUE_SERVICES, _SERVICES = query("removal_due_services"), query("removal_services")
_LOCK_SERVICES = query("removal_lock_services")
_RECORD = query("write_record")


class Removed(NamedTuple):
    """How many rows are gone."""

    dependencies: int = 0
    services: int = 0


async def remove_unobserved(
    connection: RunnerConnection,
    remove_after: Mapping[DiscoverySource, timedelta | None],
    now: datetime,
    *,
    keeps_writes: bool = True,
) -> Removed:
    """
    Remove what was not observed for longer than the setting of its source.

    Services go after the shortest of the settings. ``keeps_writes`` False = no account is kept. In
    transactions of ``BATCH`` rows; rows that another session uses wait for the next time.
    """
    ages = {source: age for source, age in remove_after.items() if age is not None}
    if not ages:
        return Removed()
    removal = _Removal(connection, keeps_writes=keeps_writes)
    dependencies = 0
    for source, age in ages.items():
        dependencies += await removal.of_dependencies(source, now - age)
    return Removed(dependencies, await removal.of_services(now - min(ages.values())))


class _Removal:
    def __init__(self, connection: RunnerConnection, *, keeps_writes: bool) -> None:
        self._connection = connection
        self._keeps_writes = keeps_writes

    async def of_dependencies(self, source: DiscoverySource, before: datetime) -> int:
        connection = self._connection

        async def remove(keys: list[str]) -> WriteCounts:
            count = await connection.fetchval(_DEPENDENCIES, keys, source, before)
            return WriteCounts(dependencies_deleted=count)

        return await self._all((_DUE_DEPENDENCIES, source, before), remove)

    async def of_services(self, before: datetime) -> int:
        connection = self._connection

        async def remove(keys: list[str]) -> WriteCounts:
            # A statement of its own: what others committed before the lock was got must be seen.
            locked = [row["id"] for row in await connection.fetch(_LOCK_SERVICES, keys)]
            return WriteCounts(services_deleted=await connection.fetchval(_SERVICES, locked, before))

        return await self._all((_DUE_SERVICES, before), remove)

    async def _all(self, due: Sequence[Any], remove: Callable[[list[str]], Awaitable[WriteCounts]]) -> int:
        """Remove until nothing is left, or others lock the rest; returns how many rows."""
        find, *criteria = due
        total = 0
        while True:
            keys = [row["id"] for row in await self._connection.fetch(find, *criteria, _LOOK)]
            removed = 0
            for start in range(0, len(keys), BATCH):
                async with self._connection.transaction():
                    counts = await remove(keys[start : start + BATCH])
                    if any(counts) and self._keeps_writes:
                        await self._connection.fetchval(_RECORD, PRINCIPAL, METHOD, *counts)
                removed += sum(counts)
            total += removed
            if len(keys) < _LOOK or not removed:
                return total
