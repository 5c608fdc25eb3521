"""
Two services become one, in one transaction.

It locks in the order in which other writers do: aliases, names, services, dependencies. A writer
that refers to the service that goes, by a new dependency, either ends before the merge looks for
the last time, or waits, finds the service gone and is repeated.
"""

from collections import Counter
from uuid import UUID

from server.domain.aliases import Merged
from server.domain.errors import FieldViolation, InvalidInputError, ServiceNotFoundError
from server.domain.ports import Written
from server.domain.services import Service
from server.domain.writes import WriteCounts
from server.store import query
from server.store.database import Database
from server.store.names import own_names, reject_alias, repeat_if_known
from server.store.pool import Connection

_LOCK_ALIASES = query("merge_lock_aliases")
_LOCK_NAMES = query("aliases_lock")
_LOCK_SERVICES = query("merge_lock_services")
_CLOSE = query("merge_close")
_LOCK_DEPENDENCIES = query("merge_lock_dependencies")
_DROP_SELF_CALLS = query("merge_drop_self_calls")
_MERGE_PARALLEL = query("merge_parallel")
_MOVE = query("merge_move")
_MOVE_ALIASES = query("merge_move_aliases")
_MERGE_SERVICES = query("merge_services")
_REMOVE = query("merge_remove")
_ADD_ALIAS = query("merge_alias")


class _TriedError(Exception):
    """Ends the transaction of a merge that was only tried, so that nothing of it is left."""

    def __init__(self, merged: Merged) -> None:
        super().__init__()
        self.merged = merged


async def merge_services(
    database: Database, from_service_id: str, into_service_id: str, *, validate_only: bool
) -> Written[Merged]:
    """See ``AliasStore.merge``. O(dependencies of the service that goes, and of no other)."""

    async def merge(connection: Connection) -> Merged:
        merged = await _merge(connection, from_service_id, into_service_id)
        if validate_only:
            raise _TriedError(merged)
        return merged

    try:
        return await database.write(merge, _counts)
    except _TriedError as tried:
        return Written(tried.merged, revision="")


def _counts(merged: Merged) -> WriteCounts:
    return WriteCounts(
        services_updated=1,
        services_deleted=1,
        dependencies_updated=merged.dependencies_moved + merged.dependencies_merged,
        dependencies_deleted=merged.dependencies_merged + merged.self_calls_dropped,
    )


async def _merge(connection: Connection, from_service_id: str, into_service_id: str) -> Merged:
    await connection.execute(_LOCK_ALIASES, from_service_id)
    await connection.execute(_LOCK_NAMES)
    going, staying = await _locked(connection, from_service_id, into_service_id)
    counts = await _move_dependencies(connection, going, staying)
    await connection.execute(_CLOSE, going)
    # What others added while the merge waited for them.
    counts += await _move_dependencies(connection, going, staying)
    aliases_moved = await connection.fetchval(_MOVE_ALIASES, going, staying)
    [service] = await connection.fetch(_MERGE_SERVICES, going, staying)
    await connection.fetchval(_REMOVE, going)
    await connection.execute(_ADD_ALIAS, from_service_id, staying)
    return Merged(
        service=Service._make(service),
        dependencies_moved=counts[_MOVE],
        dependencies_merged=counts[_MERGE_PARALLEL],
        self_calls_dropped=counts[_DROP_SELF_CALLS],
        aliases_moved=aliases_moved,
    )


async def _locked(connection: Connection, from_service_id: str, into_service_id: str) -> tuple[UUID, UUID]:
    """Lock both services; returns their ids. Raises the error of a name that has none."""
    named = into_service_id
    into_service_id = (await own_names(connection, [named])).get(named, named)
    if into_service_id == from_service_id:
        description = f"{named!r} is the service that goes: name another one"
        violations = [FieldViolation("into_service_id", description)]
        raise InvalidInputError(f"into_service_id: {description}", violations=violations)
    records = await connection.fetch(_LOCK_SERVICES, [from_service_id, into_service_id])
    found: dict[str, UUID] = {record["service_id"]: record["id"] for record in records}
    if from_service_id not in found:
        remedy = "it goes by its own name only"
        await reject_alias(connection, "from_service_id", from_service_id, remedy)
    for name in (from_service_id, into_service_id):
        if name not in found:
            await repeat_if_known(connection, [name])
            raise ServiceNotFoundError(f"no service is named {name!r}", service_id=name)
    return found[from_service_id], found[into_service_id]


async def _move_dependencies(connection: Connection, going: UUID, staying: UUID) -> "Counter[str]":
    """Make the dependencies of one service those of the other; returns how many by statement."""
    await connection.execute(_LOCK_DEPENDENCIES, going, staying)
    return Counter(
        {
            statement: await connection.fetchval(statement, going, staying)
            for statement in (_DROP_SELF_CALLS, _MERGE_PARALLEL, _MOVE)
        }
    )
