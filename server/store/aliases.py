"""Aliases in the system of record."""

from collections.abc import Sequence

from server.domain.aliases import Alias, AliasPage, Merged
from server.domain.errors import AliasNotFoundError, ServiceNotFoundError
from server.domain.ports import Written
from server.domain.writes import WriteCounts
from server.store import query
from server.store.batches import reject_bad_names
from server.store.database import Database
from server.store.merging import merge_services
from server.store.names import alias_taken, name_taken
from server.store.pool import Connection

_GET = query("alias_get")
_PAGE = query("aliases_page")
_LOCK = query("aliases_lock")
_ADD = query("alias_add")
_REMOVE = query("alias_remove")
_RESOLVE = query("aliases_resolve")


class AliasRepository:
    """``ports.AliasStore`` on PostgreSQL; ``RetryableError`` when it is away or busy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, service_id: str | None, size: int, after: str | None) -> AliasPage:
        """See ``AliasStore.page``."""
        records = await self._database.fetch(_PAGE, after, service_id, size + 1)
        aliases = tuple(Alias._make(record) for record in records[:size])
        return AliasPage(aliases, next=aliases[-1].alias if len(records) > size else None)

    async def own_names(self, names: Sequence[str]) -> dict[str, str]:
        """See ``AliasStore.own_names``."""
        records = await self._database.fetch(_RESOLVE, names)
        return {record["alias"]: record["service_id"] for record in records}

    async def add(self, alias: str, service_id: str) -> Written[Alias]:
        """See ``AliasStore.add``."""

        async def add(connection: Connection) -> tuple[Alias, bool]:
            await reject_bad_names(connection, [("alias", alias)])
            await connection.execute(_LOCK)
            record = await connection.fetchrow(_ADD, alias, service_id)
            if record is None:
                raise ServiceNotFoundError(f"no service is named {service_id!r}", service_id=service_id)
            if record["id"] is not None:
                return Alias._make(record), True
            return await _kept(connection, alias, record["service_id"]), False

        written = await self._database.write(add, lambda added: WriteCounts(services_updated=int(added[1])))
        return Written(written.value[0], written.revision)

    async def remove(self, alias: str) -> Written[None]:
        """See ``AliasStore.remove``."""

        async def remove(connection: Connection) -> None:
            if await connection.fetchval(_REMOVE, alias) is None:
                raise AliasNotFoundError(f"no service has the alias {alias!r}", alias=alias)

        return await self._database.write(remove, lambda _: WriteCounts(services_updated=1))

    async def merge(
        self, from_service_id: str, into_service_id: str, *, validate_only: bool
    ) -> Written[Merged]:
        """See ``AliasStore.merge``."""
        return await merge_services(
            self._database, from_service_id, into_service_id, validate_only=validate_only
        )


async def _kept(connection: Connection, alias: str, service_id: str) -> Alias:
    """Return the alias if the service has it already; raises the error of a name that is taken."""
    record = await connection.fetchrow(_GET, alias)
    if record is None:
        raise await name_taken(connection, alias, f"merge it into {service_id!r}, or choose another alias")
    found = Alias._make(record)
    if found.service_id != service_id:
        raise alias_taken(found)
    return found
