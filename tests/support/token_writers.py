"""Writers that read their own writes: by SQL, and through the repositories."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from server.domain.consistency import AtLeastAsFresh
from server.domain.dependencies import DependencyDraft
from server.domain.errors import ServiceNotFoundError, WriteConflictError
from server.domain.revision import Revision
from server.domain.services import Service, ServiceDraft
from server.replica import Replica
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository
from tests.support.following import PATIENCE
from tests.support.random_statements import Session
from tests.support.random_writer import connect
from tests.support.world import FREE, free, own


@dataclass(slots=True)
class TokenReads:
    """Reads at a revision: how many showed less than was written, and how long each waited, in seconds."""

    replica: Replica
    counts: Counter[str]
    stale: int = 0
    waits: list[float] = field(default_factory=list)

    async def read(self, revision: Revision, name: str, version: int) -> None:
        """Read a writer's own service once memory holds the revision of its write."""
        began = time.perf_counter()
        graph = await self.replica.at(AtLeastAsFresh(revision), PATIENCE)
        self.waits.append(time.perf_counter() - began)
        service = graph.service(name).payload
        assert isinstance(service, Service)
        self.stale += int(service.team or 0) < version

    @property
    def count(self) -> int:
        """How many reads there were."""
        return len(self.waits)

    def quantile(self, share: float) -> float:
        """How long a read waited at most, of this share of all; seconds."""
        return sorted(self.waits)[min(self.count - 1, int(self.count * share))] if self.waits else 0.0


async def write_by_sql(url: str, number: int, reads: TokenReads, dice: Random, stop: asyncio.Event) -> None:
    """Write with dawdling transactions; the revision comes from inside them, or from another session afterwards."""
    connection, elsewhere = await connect(url), await connect(url)
    try:
        for version in _versions(stop):
            inside = await _write_slowly(Session(connection, dice), own(number), version)
            plain = inside or await elsewhere.fetchval("SELECT depgraph_feed.revision()")
            await reads.read(Revision.of(plain), own(number), version)
    finally:
        connection.terminate()
        elsewhere.terminate()


async def write_by_repository(
    database: Database,
    number: int,
    reads: TokenReads,
    dice: Random,
    stop: asyncio.Event,
) -> None:
    """Write batches of services and dependencies, with other people's rows among them."""
    services, dependencies = ServiceRepository(database), DependencyRepository(database)
    for version in _versions(stop):
        drafts = [ServiceDraft(service_id=own(number), team=str(version))]
        drafts += [
            ServiceDraft(service_id=free(n), team="batch") for n in sorted(dice.sample(range(FREE), 3))
        ]
        a, b = dice.sample(range(FREE), 2)
        edge = DependencyDraft(
            source_service_id=free(a),
            target_service_id=free(b),
            communication_mode="async",
            timeout_ms=version,
        )
        try:
            services_written = await services.upsert(drafts)
            reads.counts["repository writes"] += 1
            await reads.read(Revision.parse(services_written.revision), own(number), version)
            await dependencies.upsert([edge])
            reads.counts["repository writes"] += 1
        except (ServiceNotFoundError, WriteConflictError) as error:
            reads.counts[type(error).__name__] += 1


def _versions(stop: asyncio.Event) -> Iterator[int]:
    version = 0
    while not stop.is_set():
        version += 1
        yield version


async def _write_slowly(session: Session, name: str, version: int) -> str | None:
    connection = session.connection
    revision: str | None = None
    async with connection.transaction():
        if session.dice.random() < 0.5:
            await connection.execute("SELECT pg_current_xact_id()")
            await session.hold(0.05)
        await connection.execute("UPDATE services SET team = $2 WHERE service_id = $1", name, str(version))
        if session.dice.random() < 0.7:
            revision = await connection.fetchval("SELECT depgraph_feed.revision()")
        await session.hold(0.02)
    return revision
