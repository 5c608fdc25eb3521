"""Batches of dependencies with a value in every column, and ways to write them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import grpc

from bench.calls import RawCall, question, raw
from bench.graphs import random_edges
from bench.stage import connected
from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1 import types_pb2
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from server.domain.dependencies import DependencyDraft
from server.store import migrate
from server.store.batches import random_uuids
from server.store.database import Database
from server.store.dependencies import DependencyRepository

SERVICES, EDGES = 5_000, 200_000
OBSERVED = datetime(2026, 1, 1, tzinfo=UTC)
RETRIES = '{"max_retries": 3, "backoff_strategy": "exponential"}'


@dataclass(frozen=True)
class Batch:
    """``kind`` says what the rows are to the table: new, changed, or unchanged."""

    kind: str
    drafts: Sequence[DependencyDraft]

    def request(self) -> bytes:
        """The same as a request."""
        return pb.BatchUpsertDependenciesRequest(
            dependencies=[_message(draft) for draft in self.drafts]
        ).SerializeToString()


def batches(rows: int, place: int, number: int) -> Iterator[Batch]:
    """Yield a batch as new, changed and unchanged rows: ``place`` picks keys, ``number`` values."""
    pairs = random_edges("upsert", SERVICES, EDGES).pairs[place * rows : (place + 1) * rows]
    yield Batch("new", [_draft(source, target, 3 * number) for source, target in pairs])
    changed = [_draft(source, target, 3 * number + 1) for source, target in pairs]
    yield Batch("changed", changed)
    yield Batch("unchanged", changed)


def _draft(source: int, target: int, number: int) -> DependencyDraft:
    """Every other one has a configuration of retries."""
    return DependencyDraft(
        source_service_id=f"s{source}",
        target_service_id=f"s{target}",
        communication_mode="sync",
        criticality="soft",
        protocol="grpc",
        timeout_ms=1_000 + number,
        retry_config=RETRIES if source % 2 else None,
        confidence_score=0.5,
        last_observed_at=OBSERVED + timedelta(seconds=number),
    )


def _message(draft: DependencyDraft) -> types_pb2.Dependency:
    message = types_pb2.Dependency(
        source_service_id=draft.source_service_id,
        target_service_id=draft.target_service_id,
        communication_mode=types_pb2.COMMUNICATION_MODE_SYNC,
        criticality=types_pb2.DEPENDENCY_CRITICALITY_SOFT,
        protocol=draft.protocol,
        timeout_ms=draft.timeout_ms,
        retry_config=types_pb2.RetryConfig() if draft.retry_config else None,
        discovery_source=types_pb2.DISCOVERY_SOURCE_MANUAL,
        confidence_score=draft.confidence_score,
    )
    if draft.last_observed_at:
        message.last_observed_time.FromDatetime(draft.last_observed_at)
    return message


UPSERT = "/depgraph.v1.DependencyService/BatchUpsertDependencies"
FILL = "INSERT INTO services (service_id) SELECT 's' || number FROM generate_series(0, $1::int - 1) AS number"
BARE = """
INSERT INTO service_dependencies (
    source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms, retry_config,
    discovery_source, confidence_score, last_observed_at, is_stale, id
)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::jsonb[],
    $8::text[], $9::float8[], $10::timestamptz[], $11::boolean[], $12::uuid[]
)
ON CONFLICT (source_service_id, target_service_id, discovery_source) DO UPDATE SET
    communication_mode = excluded.communication_mode, criticality = excluded.criticality,
    protocol = excluded.protocol, timeout_ms = excluded.timeout_ms,
    retry_config = excluded.retry_config, confidence_score = excluded.confidence_score,
    last_observed_at = excluded.last_observed_at, is_stale = excluded.is_stale
"""

Write = Callable[[], Awaitable[object]]


class Writer:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def ready(self, batch: Batch) -> Write:
        """What writes the batch, with everything made beforehand that is not part of it."""
        raise NotImplementedError

    async def rest(self, batch: Batch) -> None:
        """Make sure that the batch was written, and wait until all that this set off is over."""

    async def empty(self) -> None:
        """Remove all dependencies."""
        await self._connection.execute("TRUNCATE service_dependencies")


class Bare(Writer):
    """One INSERT … ON CONFLICT of all columns, into a table with no triggers but foreign keys."""

    def __init__(self, connection: asyncpg.Connection, ids: dict[str, UUID]) -> None:
        super().__init__(connection)
        self._ids = ids

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, *, with_triggers: bool = False) -> AsyncIterator["Bare"]:
        async with connected(url) as connection:
            if not with_triggers:
                await connection.execute("ALTER TABLE service_dependencies DISABLE TRIGGER USER")
            services = await connection.fetch("SELECT service_id, id FROM services")
            yield cls(connection, {service["service_id"]: service["id"] for service in services})

    def ready(self, batch: Batch) -> Write:
        sources, targets, *others = zip(*batch.drafts, strict=True)
        ends = [[self._ids[name] for name in names] for names in (sources, targets)]
        proposed = random_uuids(len(batch.drafts))
        return lambda: self._connection.execute(BARE, *ends, *others, proposed)


class Repository(Writer):
    """The server's own, in this process."""

    def __init__(self, connection: asyncpg.Connection, repository: DependencyRepository) -> None:
        super().__init__(connection)
        self._repository = repository

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncIterator["Repository"]:
        async with connected(url) as connection, Database.open(url) as database:
            yield cls(connection, DependencyRepository(database))

    def ready(self, batch: Batch) -> Write:
        return lambda: self._repository.upsert(batch.drafts)


class Rpc(Writer):
    """A call of the server in bytes; its memory catches up before the next measurement."""

    def __init__(self, channel: grpc.Channel, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self._upsert: RawCall = raw(channel, UPSERT)
        self._graph = GraphServiceStub(channel)
        self._answer = b""

    @classmethod
    @asynccontextmanager
    async def opened(cls, address: str, url: str) -> AsyncIterator["Rpc"]:
        with grpc.insecure_channel(address) as channel:
            async with connected(url) as connection:
                yield cls(channel, connection)

    def ready(self, batch: Batch) -> Write:
        request = batch.request()

        async def write() -> None:
            # The synchronous client is the faster one, and nothing else runs meanwhile.
            self._answer = self._upsert(request)

        return write

    async def rest(self, batch: Batch) -> None:
        answer = pb.BatchUpsertDependenciesResponse.FromString(self._answer)
        new = len(batch.drafts) if batch.kind == "new" else 0
        assert (len(answer.dependencies), answer.created_count) == (len(batch.drafts), new)
        seeing = question("s0", "IDS", hops=1)
        seeing.consistency.at_least_as_fresh = answer.revision
        self._graph.Traverse(seeing)


async def database(url: str, name: str) -> str:
    """Create a database with services beside the one at ``url``; returns its URL."""
    async with connected(url) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
    own = url.replace("/depgraph?", f"/{name}?")
    await migrate.upgrade(own)
    await fill(own)
    return own


async def fill(url: str) -> None:
    """Add the services s0, s1, …"""
    async with connected(url) as connection:
        await connection.execute(FILL, SERVICES)
        await connection.execute("ANALYZE services")
