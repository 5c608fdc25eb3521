"""Services in the system of record."""

from collections.abc import Sequence

import asyncpg

from server.domain.errors import (
    FieldViolation,
    InvalidInputError,
    ServiceNotFoundError,
)
from server.domain.ports import Page, PageKey, Upserted, Written, cut_page
from server.domain.services import (
    SETTABLE_COLUMNS,
    Service,
    ServiceChange,
    ServiceDraft,
    ServiceFilter,
    ServiceKey,
)
from server.domain.writes import WriteCounts
from server.store import query
from server.store.batches import columns, random_uuids, reject_bad_names, reject_repeats
from server.store.database import Database
from server.store.failures import collided
from server.store.names import name_taken, reject_alias, reject_alias_name, repeat_if_known, resolved_services
from server.store.pool import Connection

_GET = query("service_get")
_PAGE = query("services_page")
_CREATE = query("service_create")
_UPDATE = query("service_update")
_DELETE = query("service_delete")
_LOCK_NAMES = query("services_lock_names")
_UPSERT = query("services_upsert")


class ServiceRepository:
    """``ports.ServiceStore`` on PostgreSQL; ``RetryableError`` when it is away or busy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: ServiceKey) -> Service:
        """See ``ServiceStore.get``. O(log services)."""
        record = await self._database.fetchrow(_GET, key.service_id, key.id)
        return _found(record, key)

    async def page(self, chosen: ServiceFilter, size: int, after: PageKey | None) -> Page[Service]:
        """At most ``size`` services, newest first; an index range at any depth."""
        created_at, last_id = after or (None, None)
        records = await self._database.fetch(
            _PAGE,
            created_at,
            last_id,
            chosen.team,
            chosen.criticality,
            chosen.discovered,
            chosen.query,
            chosen.kind,
            size + 1,
        )
        services = [Service._make(record) for record in records]
        return cut_page(services, size, lambda service: PageKey(service.created_at, service.id))

    async def create(self, draft: ServiceDraft) -> Written[Service]:
        """See ``ServiceStore.create``."""
        is_repeated = False

        async def insert(connection: Connection) -> Service:
            nonlocal is_repeated
            if is_repeated:
                # Perhaps the database refused the name of an alias: to look before costs each call.
                await reject_alias_name(connection, draft.service_id)
            is_repeated = True
            await reject_bad_names(connection, [("service.service_id", draft.service_id)])
            record = await connection.fetchrow(_CREATE, random_uuids(1), *columns([draft], ServiceDraft))
            if record is None:
                raise await name_taken(connection, draft.service_id, "update it, or choose another name")
            return Service._make(record)

        return await self._database.write(insert, lambda _: WriteCounts(services_created=1))

    async def update(self, key: ServiceKey, change: ServiceChange) -> Written[Service]:
        """See ``ServiceStore.update``."""
        _check_columns(change.columns)

        async def update(connection: Connection) -> Service:
            values = [getattr(change.draft, column) for column in SETTABLE_COLUMNS]
            record = await connection.fetchrow(
                _UPDATE, key.service_id, key.id, sorted(change.columns), *values
            )
            if record is None and key.service_id is not None:
                # It may just have become an alias, by a merge.
                await repeat_if_known(connection, [key.service_id])
            return _found(record, key)

        return await self._database.write(update, lambda _: WriteCounts(services_updated=1))

    async def delete(self, key: ServiceKey) -> Written[None]:
        """See ``ServiceStore.delete``."""

        async def delete(connection: Connection) -> None:
            if await connection.fetchval(_DELETE, key.service_id, key.id) is None:
                if key.service_id is not None:
                    remedy = "delete that one by its own name, or remove the alias"
                    await reject_alias(connection, "service_id", key.service_id, remedy)
                raise _missing(key)

        return await self._database.write(delete, lambda _: WriteCounts(services_deleted=1))

    async def upsert(self, drafts: Sequence[ServiceDraft]) -> Written[Upserted[Service]]:
        """See ``ServiceStore.upsert``."""
        reject_repeats((draft.service_id for draft in drafts), lambda place: f"services[{place}].service_id")

        async def upsert(connection: Connection) -> Upserted[Service]:
            await reject_bad_names(
                connection,
                ((f"services[{place}].service_id", draft.service_id) for place, draft in enumerate(drafts)),
            )
            own = await resolved_services(connection, drafts)
            await connection.execute(_LOCK_NAMES)
            records = await connection.fetch(_UPSERT, random_uuids(len(own)), *columns(own, ServiceDraft))
            if len(records) != len(drafts):
                raise collided()
            rows = tuple(Service._make(record[:-1]) for record in records)
            return Upserted(rows, created=sum(record[-1] for record in records))

        return await self._database.write(
            upsert,
            lambda upserted: WriteCounts(
                services_created=upserted.created, services_updated=upserted.updated
            ),
        )


def _check_columns(columns: frozenset[str]) -> None:
    unknown = sorted(columns.difference(SETTABLE_COLUMNS))
    if unknown:
        description = (
            f"can't set {', '.join(unknown)}: a service has {', '.join(sorted(SETTABLE_COLUMNS))} to set"
        )
        raise InvalidInputError(description, violations=[FieldViolation("update_mask", description)])


def _found(record: asyncpg.Record | None, key: ServiceKey) -> Service:
    if record is None:
        raise _missing(key)
    return Service._make(record)


def _missing(key: ServiceKey) -> ServiceNotFoundError:
    if key.service_id is None:
        return ServiceNotFoundError(f"no service has the id {key}", id=str(key))
    return ServiceNotFoundError(f"no service is named {key.service_id!r}", service_id=key.service_id)
