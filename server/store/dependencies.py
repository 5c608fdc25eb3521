"""Dependencies in the system of record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from server.config import StalenessSettings
from server.domain.dependencies import (
    Dependency,
    DependencyDraft,
    DependencyFilter,
    DiscoverySource,
)
from server.domain.errors import DependencyNotFoundError, FieldViolation, ServiceNotFoundError
from server.domain.ports import Page, PageKey, Upserted, Written, cut_page
from server.domain.reports import IngestBatch, IngestResult, Reporter
from server.domain.writes import WriteCounts
from server.store import query
from server.store.batches import columns, random_uuids, reject_repeats
from server.store.database import Database
from server.store.failures import collided
from server.store.ingestion import check_batch, ingest_report
from server.store.names import repeat_if_known, resolved_dependencies
from server.store.pool import Connection
from server.store.reporters import list_reporters

_GET = query("dependency_get")
_PAGE = query("dependencies_page")
_ADJACENCY = query("dependencies_adjacency")
_DELETE = query("dependency_delete")
_MARK_STALE = query("dependencies_mark_stale")
_UPSERT = query("dependencies_upsert")
_BY_KEYS = query("dependencies_by_keys")
_WIDTH = len(Dependency._fields)
_NEVER_STALE = StalenessSettings()


class DependencyRepository:
    """
    ``ports.DependencyStore`` on PostgreSQL; ``RetryableError`` when it is away or busy.

    ``staleness`` bounds the granularity of reports.
    """

    def __init__(self, database: Database, staleness: StalenessSettings = _NEVER_STALE) -> None:
        self._database = database
        self._staleness = staleness

    async def get(self, key: UUID) -> Dependency:
        """Return the dependency, or raise ``DependencyNotFoundError``. O(log dependencies)."""
        record = await self._database.fetchrow(_GET, key)
        if record is None:
            raise _missing(key)
        return Dependency._make(record)

    async def page(self, chosen: DependencyFilter, size: int, after: PageKey | None) -> Page[Dependency]:
        """At most ``size`` dependencies, newest first; an index range at any depth."""
        created_at, last_id = after or (None, None)
        records = await self._database.fetch(
            _PAGE,
            created_at,
            last_id,
            chosen.source_service_id,
            chosen.target_service_id,
            chosen.discovery_source,
            chosen.include_stale,
            size + 1,
        )
        dependencies = [Dependency._make(record) for record in records]
        return cut_page(dependencies, size, lambda dependency: PageKey(dependency.created_at, dependency.id))

    async def adjacency(self, *, include_stale: bool = False) -> list[tuple[str, tuple[str, ...]]]:
        """
        Return each service with the distinct services that it calls, sorted by code point.

        One grouped query over the whole graph, O(services + dependencies): for comparison and
        operators.
        """
        records = await self._database.fetch(_ADJACENCY, include_stale)
        return [(record["service_id"], tuple(record["target_names"])) for record in records]

    async def upsert(self, drafts: Sequence[DependencyDraft]) -> Written[Upserted[Dependency]]:
        """See ``DependencyStore.upsert``."""
        reject_repeats((draft.key for draft in drafts), lambda place: f"dependencies[{place}]")

        return await self._database.write(
            lambda connection: _upsert(connection, drafts),
            lambda upserted: WriteCounts(
                dependencies_created=upserted.created, dependencies_updated=upserted.updated
            ),
        )

    async def delete(self, key: UUID) -> Written[None]:
        """Remove it; ``DependencyNotFoundError`` when there is none."""

        async def delete(connection: Connection) -> None:
            if await connection.fetchval(_DELETE, key) is None:
                raise _missing(key)

        return await self._database.write(delete, lambda _: WriteCounts(dependencies_deleted=1))

    async def mark_stale(self, observed_before: datetime, source: DiscoverySource | None) -> Written[int]:
        """See ``DependencyStore.mark_stale``."""

        async def mark(connection: Connection) -> int:
            count: int = await connection.fetchval(_MARK_STALE, observed_before, source)
            return count

        return await self._database.write(mark, lambda count: WriteCounts(dependencies_updated=count))

    async def ingest(self, batch: IngestBatch) -> Written[IngestResult]:
        """See ``DependencyStore.ingest``."""
        check_batch(batch)
        granularity = self._staleness.granularity(batch.discovery_source, batch.granularity)
        batch = replace(batch, granularity=granularity)
        return await self._database.write(
            lambda connection: ingest_report(connection, batch),
            lambda result: WriteCounts(
                services_created=result.services_created,
                services_updated=result.services_updated,
                dependencies_created=result.edges_created,
                dependencies_updated=result.edges_updated,
            ),
        )

    async def reporters(self) -> tuple[Reporter, ...]:
        """See ``DependencyStore.reporters``."""
        return await list_reporters(self._database)


async def _upsert(connection: Connection, drafts: Sequence[DependencyDraft]) -> Upserted[Dependency]:
    drafts = await resolved_dependencies(connection, drafts)
    records = await connection.fetch(_UPSERT, random_uuids(len(drafts)), *columns(drafts, DependencyDraft))
    rows = [Dependency._make(record[:_WIDTH]) for record in records]
    if unwritten := {place: record for place, record in enumerate(records) if record["id"] is None}:
        await _check_ends(connection, unwritten)
        unchanged = await _unchanged(connection, unwritten.values())
        for place, row in zip(unwritten, unchanged, strict=True):
            rows[place] = row
    return Upserted(tuple(rows), created=sum(1 for record in records if record["created"]))


async def _unchanged(connection: Connection, unwritten: Collection[asyncpg.Record]) -> list[Dependency]:
    """Read the rows that were there already, which the upsert may be too old to see."""
    sources = [record["source_id"] for record in unwritten]
    targets = [record["target_id"] for record in unwritten]
    found = await connection.fetch(
        _BY_KEYS, sources, targets, [record["given_source"] for record in unwritten]
    )
    if len(found) != len(unwritten):
        raise collided()
    return [
        Dependency(row[0], record["source_name"], record["target_name"], *row[1:])
        for record, row in zip(unwritten, found, strict=True)
    ]


async def _check_ends(connection: Connection, unwritten: Mapping[int, asyncpg.Record]) -> None:
    missing = [
        (place, end, record[f"{end}_name"])
        for place, record in unwritten.items()
        for end in ("source", "target")
        if record[f"{end}_id"] is None
    ]
    if not missing:
        return
    # A service may just have become an alias, by a merge.
    await repeat_if_known(connection, [name for *_, name in missing])
    violations = [
        FieldViolation(f"dependencies[{place}].{end}_service_id", f"no service is named {name!r}")
        for place, end, name in missing
    ]
    raise ServiceNotFoundError(
        f"{len(violations)} ends of dependencies are services that don't exist: create these first",
        violations=violations,
    )


def _missing(key: UUID) -> DependencyNotFoundError:
    return DependencyNotFoundError(f"no dependency has the id {key}", id=str(key))
