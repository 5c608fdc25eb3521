"""Writers that read their own writes: by SQL, and by RPC."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import grpc

from depgraph.v1.catalog_service_pb2 import BatchUpsertServicesRequest
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.dependency_service_pb2 import BatchUpsertDependenciesRequest
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceStub
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_ASYNC, Dependency, Service
from server.domain.live_graph import AtLeastAsFresh
from server.domain.revision import Revision
from server.replica import Replica
from tests.support.following import PATIENCE, service_of
from tests.support.random_statements import Session
from tests.support.random_writer import connect
from tests.support.world import FREE, free, own

# Another writer removed an end of the edge, or several writers kept wanting the same rows.
_EXPECTED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED)


@dataclass(slots=True)
class TokenReads:
    """Reads at a revision: how many lacked the write, and the seconds that each waited."""

    replica: Replica
    counts: Counter[str]
    stale: int = 0
    waits: list[float] = field(default_factory=list)

    async def read(self, revision: Revision, name: str, version: int) -> None:
        """Read a writer's own service once memory holds the revision of its write."""
        began = time.perf_counter()
        graph = (await self.replica.at(AtLeastAsFresh(revision), PATIENCE)).graph
        self.waits.append(time.perf_counter() - began)
        service = service_of(graph.service(name))
        self.stale += int(service.team or 0) < version

    @property
    def count(self) -> int:
        """How many reads there were."""
        return len(self.waits)

    def quantile(self, share: float) -> float:
        """How long a read waited at most, of this share of all; seconds."""
        return sorted(self.waits)[min(self.count - 1, int(self.count * share))] if self.waits else 0.0


async def write_by_sql(url: str, number: int, reads: TokenReads, dice: Random, stop: asyncio.Event) -> None:
    """Write with slow transactions; the revision comes from inside them or from a later session."""
    connection, elsewhere = await connect(url), await connect(url)
    try:
        for version in _versions(stop):
            inside = await _write_slowly(Session(connection, dice), own(number), version)
            plain = inside or await elsewhere.fetchval("SELECT depgraph_feed.revision()")
            await reads.read(Revision.of(plain), own(number), version)
    finally:
        connection.terminate()
        elsewhere.terminate()


async def write_by_rpc(
    channel: grpc.aio.Channel,
    number: int,
    reads: TokenReads,
    dice: Random,
    stop: asyncio.Event,
) -> None:
    """Write batches of services and dependencies through a server, among the rows of others."""
    services, dependencies = CatalogServiceStub(channel), DependencyServiceStub(channel)
    for version in _versions(stop):
        others = sorted(dice.sample(range(FREE), 3))
        batch = [Service(service_id=own(number), team=str(version))]
        batch += [Service(service_id=free(n), team="batch") for n in others]
        a, b = dice.sample(range(FREE), 2)
        edge = Dependency(
            source_service_id=free(a),
            target_service_id=free(b),
            communication_mode=COMMUNICATION_MODE_ASYNC,
            timeout_ms=version,
        )
        try:
            written = await services.BatchUpsertServices(BatchUpsertServicesRequest(services=batch))
            reads.counts["rpc writes"] += 1
            await reads.read(Revision.parse(written.revision), own(number), version)
            await dependencies.BatchUpsertDependencies(BatchUpsertDependenciesRequest(dependencies=[edge]))
            reads.counts["rpc writes"] += 1
        except grpc.aio.AioRpcError as error:
            if error.code() not in _EXPECTED:
                raise
            reads.counts[error.code().name] += 1


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
